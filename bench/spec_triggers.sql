-- The triggers as the specification writes them, to measure what their per-row counting costs (bench/hot_cluster.py).
-- Not for use: they count per inserted row, match emotions by wildcard, and make twin arcs under concurrent writers.

CREATE FUNCTION spec_auto_tag_high_gravity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.gravity_score >= 0.85 THEN
        NEW.meta_tags = array_append(COALESCE(NEW.meta_tags, ARRAY[]::text[]), 'high_gravity');
        NEW.identity_anchor = true;
    END IF;
    IF NEW.entities @> ARRAY['Blu', 'Matt', 'Atlas', 'Ivy'] THEN
        NEW.meta_tags = array_append(COALESCE(NEW.meta_tags, ARRAY[]::text[]), 'identity');
    END IF;
    IF NEW.temporal_type IS NULL THEN
        IF NEW.content ~* '(yesterday|last week|remember|before)' THEN
            NEW.temporal_type = 'past';
        ELSIF NEW.content ~* '(tomorrow|next week|will|plan|going to)' THEN
            NEW.temporal_type = 'future';
        ELSE
            NEW.temporal_type = 'present';
        END IF;
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER trigger_auto_tag_high_gravity BEFORE INSERT ON gravity_map
    FOR EACH ROW EXECUTE FUNCTION spec_auto_tag_high_gravity();

CREATE FUNCTION spec_notify_memory_created() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(
        'memory_created',
        json_build_object(
            'id', NEW.id, 'user_id', NEW.user_id, 'thread_id', NEW.thread_id, 'session_id', NEW.session_id,
            'gravity_score', NEW.gravity_score, 'emotion_type', NEW.emotion_type, 'created_at', NEW.created_at
        )::text
    );
    RETURN NEW;
END;
$$;
CREATE TRIGGER trigger_notify_memory_created AFTER INSERT ON gravity_map
    FOR EACH ROW EXECUTE FUNCTION spec_notify_memory_created();

CREATE FUNCTION spec_arc_building() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    similar_memories INT;
    arc_id UUID;
BEGIN
    IF NEW.gravity_score < 0.8 THEN
        RETURN NEW;
    END IF;

    SELECT COUNT(*) INTO similar_memories
    FROM gravity_map
    WHERE user_id = NEW.user_id
      AND emotion_type = NEW.emotion_type
      AND gravity_score >= 0.8
      AND created_at > NOW() - INTERVAL '24 hours'
      AND id != NEW.id;

    IF similar_memories >= 2 THEN
        SELECT id INTO arc_id
        FROM memory_arcs
        WHERE user_id = NEW.user_id
          AND arc_name ILIKE '%' || NEW.emotion_type || '%'
          AND evolution_stage IN ('forming', 'active')
        ORDER BY created_at DESC
        LIMIT 1;

        IF arc_id IS NULL THEN
            INSERT INTO memory_arcs (user_id, arc_name, gravity_center, evolution_stage, created_at)
            VALUES (NEW.user_id, NEW.emotion_type || ' arc (auto-created)', NEW.gravity_score, 'forming', NOW())
            RETURNING id INTO arc_id;
        END IF;

        INSERT INTO memory_arc_associations (memory_id, arc_id, fusion_strength, created_at)
        VALUES (NEW.id, arc_id, 0.8, NOW())
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER trigger_arc_building AFTER INSERT ON gravity_map
    FOR EACH ROW EXECUTE FUNCTION spec_arc_building();
