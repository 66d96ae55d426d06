-- auto_tag_high_gravity(): trigger function, BEFORE INSERT OR UPDATE OF gravity_score, entities on gravity_map, per row.
--
-- Rules (spec): gravity at or over high_gravity_threshold adds the tag high_gravity and sets identity_anchor; the identity
-- entities add the tag identity; a NULL temporal_type becomes past, future or present, in this order, by the words of the content.
-- Beyond the spec: a tag that is there is not added again; a NULL or NaN gravity is not high; the words are whole words with
-- their inflections, so that William is no future and a planet no plan; an UPDATE adds tags too and never takes one away.
-- Rows that gravity_memory_import_user() brings stay as they come: their tags were given where they were written.
-- Runs as the writer and touches nothing but NEW. A fault in it (a setting broken by hand, tags in two dimensions) is a
-- WARNING: the memory is stored as it came.
CREATE FUNCTION @extschema@.auto_tag_high_gravity()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $auto_tag_high_gravity$
DECLARE
    v_settings jsonb;
    v_identity text[];
BEGIN
    IF TG_OP = 'INSERT' AND current_setting('gravity_memory.importing', true) = 'on' THEN
        RETURN NEW;
    END IF;
    v_settings := @extschema@._gravity_memory_effective_settings();

    IF NEW.gravity_score >= (v_settings ->> 'high_gravity_threshold')::double precision
       AND NEW.gravity_score < 'Infinity' THEN
        NEW.identity_anchor := true;
        IF NOT COALESCE('high_gravity' = ANY (NEW.meta_tags), false) THEN
            NEW.meta_tags := array_append(COALESCE(NEW.meta_tags, '{}'), 'high_gravity');
        END IF;
    END IF;

    v_identity := (v_settings ->> 'identity_entities')::text[];
    IF v_identity <> '{}'
       AND (NEW.entities @> v_identity OR (v_settings ->> 'identity_match' = 'any' AND NEW.entities && v_identity))
       AND NOT COALESCE('identity' = ANY (NEW.meta_tags), false) THEN
        NEW.meta_tags := array_append(COALESCE(NEW.meta_tags, '{}'), 'identity');
    END IF;

    IF TG_OP = 'INSERT' AND NEW.temporal_type IS NULL THEN
        NEW.temporal_type := CASE
            WHEN NEW.content ~* (v_settings ->> 'temporal_past_pattern') THEN 'past'
            WHEN NEW.content ~* (v_settings ->> 'temporal_future_pattern') THEN 'future'
            ELSE 'present'
        END;
    END IF;
    RETURN NEW;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: memory % was stored without all of its tags: %', NEW.id, SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'See SELECT * FROM gravity_memory_settings() for the rules in force.';
    RETURN NEW;
END
$auto_tag_high_gravity$;

COMMENT ON FUNCTION @extschema@.auto_tag_high_gravity() IS
    'Trigger function: tags a memory by gravity and entities and sets its temporal_type from its words.

Adds high_gravity and sets identity_anchor from high_gravity_threshold on; adds identity by identity_entities
and identity_match. A temporal_type that is NULL on INSERT becomes past, future or present, in this order, by
temporal_past_pattern and temporal_future_pattern. An UPDATE of gravity_score or entities adds tags, too; none
is ever taken away. A fault is a WARNING, and the memory is stored as it came.';
