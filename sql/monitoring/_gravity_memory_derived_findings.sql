-- _gravity_memory_derived_findings(): whether what recall reads is there for every memory, for gravity_memory_check().
--
-- First the users that setup and the triggers noted in memory_recall_gaps, of whom recall reads the memories themselves. Then a
-- look for what nobody noted, such as a load with triggers switched off: about 200 blocks of gravity_map and of memory_digests,
-- spread over the table, and the 200 newest memories, each compared with its counterpart by key. Tables up to 200 blocks are
-- compared whole. Of a larger one, what concerns one row in a hundred is practically sure to be seen, what concerns single rows
-- hardly. Errors: 42501 for a role that may not read all memories and the derived tables, which gravity_memory_check() reports as
-- not checked.
CREATE FUNCTION @extschema@._gravity_memory_derived_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $_gravity_memory_derived_findings$
DECLARE
    v_rebuild CONSTANT text := 'CALL ' || @extschema@._gravity_memory_qualified_name('gravity_memory_rebuild_recall');
    v_memories CONSTANT regclass := to_regclass(@extschema@._gravity_memory_qualified_name('gravity_map'));
    v_digests CONSTANT regclass := to_regclass(@extschema@._gravity_memory_qualified_name('memory_digests'));
    v_postings CONSTANT regclass := to_regclass(@extschema@._gravity_memory_qualified_name('memory_postings'));
    v_gaps CONSTANT regclass := to_regclass(@extschema@._gravity_memory_qualified_name('memory_recall_gaps'));
    v_dimensions integer;
    v_users bigint;
    v_is_every_user boolean;
    v_wrong bigint;
    v_looked_at bigint;
BEGIN
    -- A table that is missing, or is none, is a finding of its own.
    IF v_memories IS NULL OR v_digests IS NULL OR v_postings IS NULL OR v_gaps IS NULL
       OR EXISTS (SELECT FROM pg_class AS c
                  WHERE c.oid IN (v_memories, v_digests, v_postings, v_gaps) AND c.relkind NOT IN ('r', 'p'))
    THEN
        RETURN;
    END IF;
    IF row_security_active(v_memories) OR row_security_active(v_digests) OR row_security_active(v_postings)
        OR row_security_active(v_gaps) THEN
        RAISE EXCEPTION 'row security hides memories, or what is derived from them, from %', current_user
            USING ERRCODE = 'insufficient_privilege', HINT = 'Check as the owner of gravity_map, or as a role with BYPASSRLS.';
    END IF;

    SELECT count(*) FILTER (WHERE NOT g.is_every_user), COALESCE(bool_or(g.is_every_user), false) INTO v_users, v_is_every_user
    FROM @extschema@.memory_recall_gaps AS g;
    IF v_is_every_user OR v_users > 0 THEN
        RETURN QUERY SELECT 'warning', 'recall_gaps', 'memory_recall_gaps',
            format('Recall reads all memories of %s, slowly, because what is derived from them may be missing or wrong.',
                   CASE WHEN v_is_every_user THEN 'every user' WHEN v_users = 1 THEN '1 user' ELSE v_users || ' users' END),
            v_rebuild || '()';
    END IF;
    IF v_is_every_user THEN
        -- Nothing is relied on, so nothing can be wrong.
        RETURN;
    END IF;

    SELECT a.atttypmod INTO v_dimensions
    FROM pg_attribute AS a WHERE a.attrelid = v_memories AND a.attname = 'embedding' AND NOT a.attisdropped;

    -- Each counterpart is looked up by its key: a join might be planned to read both tables.
    SELECT count(*), count(*) FILTER (WHERE c.has_signature IS NULL OR c.has_signature <> s.has_embedding) INTO v_looked_at, v_wrong
    FROM (SELECT m.user_id::text AS user_id, m.id, m.embedding IS NOT NULL AS has_embedding
          FROM @extschema@.gravity_map AS m TABLESAMPLE SYSTEM (@extschema@._gravity_memory_sample_percent('gravity_map'))
          UNION
          (SELECT m.user_id::text, m.id, m.embedding IS NOT NULL
           FROM @extschema@.gravity_map AS m ORDER BY m.created_at DESC LIMIT 200)) AS s
    CROSS JOIN LATERAL (SELECT (SELECT d.signature IS NOT NULL FROM @extschema@.memory_digests AS d
                                WHERE d.user_id = s.user_id AND d.memory_id = s.id LIMIT 1) AS has_signature,
                               (SELECT true FROM @extschema@.memory_recall_gaps AS g
                                WHERE g.user_id = s.user_id AND NOT g.is_every_user LIMIT 1) AS is_noted) AS c
    WHERE s.user_id IS NOT NULL AND c.is_noted IS NULL;
    IF v_wrong > 0 THEN
        RETURN QUERY SELECT 'error', 'missing_derived_rows', 'memory_digests',
            format('%s of %s memories looked at have no row there, or one without their embedding, and nobody noted it: recall does not '
                   'find them.', v_wrong, v_looked_at),
            v_rebuild || '(p_everything => true)';
    END IF;

    SELECT count(*),
           count(*) FILTER (WHERE c.is_there IS NULL OR c.has_posting IS NULL)
    INTO v_looked_at, v_wrong
    FROM (SELECT d.user_id, d.memory_id, d.term_keys
          FROM @extschema@.memory_digests AS d TABLESAMPLE SYSTEM (@extschema@._gravity_memory_sample_percent('memory_digests'))) AS s
    CROSS JOIN LATERAL (SELECT (SELECT m.user_id::text = s.user_id OR NULL FROM @extschema@.gravity_map AS m
                                WHERE m.id = s.memory_id LIMIT 1) AS is_there,
                               (SELECT true WHERE s.term_keys = '{}'
                                UNION ALL
                                (SELECT true FROM @extschema@.memory_postings AS p
                                 WHERE p.term_key = s.term_keys[1] AND p.memory_id = s.memory_id LIMIT 1)) AS has_posting,
                               (SELECT true FROM @extschema@.memory_recall_gaps AS g
                                WHERE g.user_id = s.user_id AND NOT g.is_every_user LIMIT 1) AS is_noted) AS c
    WHERE c.is_noted IS NULL;
    IF v_wrong > 0 THEN
        RETURN QUERY SELECT 'error', 'wrong_derived_rows', 'memory_digests',
            format('%s of %s rows looked at there belong to no memory, or lack their row in memory_postings, and nobody noted it.',
                   v_wrong, v_looked_at),
            v_rebuild || '(p_everything => true)';
    END IF;

    IF v_dimensions > 0 THEN
        SELECT count(*), count(*) FILTER (WHERE length(s.signature) <> v_dimensions) INTO v_looked_at, v_wrong
        FROM (SELECT d.user_id, d.signature
              FROM @extschema@.memory_digests AS d TABLESAMPLE SYSTEM (@extschema@._gravity_memory_sample_percent('memory_digests'))
              WHERE d.signature IS NOT NULL) AS s
        CROSS JOIN LATERAL (SELECT (SELECT true FROM @extschema@.memory_recall_gaps AS g
                                    WHERE g.user_id = s.user_id AND NOT g.is_every_user LIMIT 1) AS is_noted) AS c
        WHERE c.is_noted IS NULL;
        IF v_wrong > 0 THEN
            RETURN QUERY SELECT 'error', 'signature_length', 'memory_digests.signature',
                format('%s of %s signatures looked at are not %s bits long, as the embeddings are by now.', v_wrong, v_looked_at,
                    v_dimensions),
                v_rebuild || '(p_everything => true)';
        END IF;
    END IF;
END
$_gravity_memory_derived_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_derived_findings() IS
    'Findings of gravity_memory_check() about what recall reads.';
