-- _gravity_memory_publish_memories(): trigger function, AFTER INSERT, UPDATE and DELETE on gravity_map, once per statement.
--
-- Records one event per memory in memory_events while the setting feed or notify asks for it: memory_created, memory_updated and memory_deleted,
-- with all of the memory's columns that the specification knows but the embedding. A memory that an UPDATE gives to another user, or another
-- id, is deleted where it was and updated where it is. Sends new memories to Supabase's topics, too, while the setting broadcast is on.
-- Where events could not be recorded the feed is broken, so that its readers start anew.
-- SECURITY DEFINER, because a writer may hold no more than INSERT on gravity_map, and nobody but the owner writes events: who could
-- would tell another user's application what never happened. A fault is a WARNING: the memories stay as they were written.
CREATE FUNCTION @extschema@._gravity_memory_publish_memories()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_publish_memories$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_wakes boolean;
BEGIN
    IF TG_RELID IS DISTINCT FROM to_regclass('@extschema@.gravity_map') THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to gravity_map and does nothing for another table', TG_NAME;
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' AND v_settings ->> 'broadcast' = 'on' AND current_setting('gravity_memory.importing', true) IS DISTINCT FROM 'on' THEN
        BEGIN
            PERFORM @extschema@._gravity_memory_broadcast(b.user_id, b.payload)
            FROM (SELECT n.user_id::text AS user_id, json_build_object(
                             'id', n.id, 'user_id', n.user_id, 'thread_id', n.thread_id, 'session_id', n.session_id,
                             'gravity_score', n.gravity_score, 'emotion_type', n.emotion_type, 'created_at', n.created_at)::jsonb AS payload
                  FROM new_rows AS n
                  WHERE (SELECT count(*) FROM new_rows) <= (v_settings ->> 'notify_bulk_rows')::bigint
                  UNION ALL
                  SELECT n.user_id::text, jsonb_build_object('user_id', n.user_id, 'count', count(*))
                  FROM new_rows AS n
                  WHERE (SELECT count(*) FROM new_rows) > (v_settings ->> 'notify_bulk_rows')::bigint
                  GROUP BY n.user_id) AS b;
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'gravity_memory: memory_created was not broadcast: %', SQLERRM
                USING ERRCODE = SQLSTATE, HINT = 'The memories are stored.';
        END;
    END IF;
    IF NOT @extschema@._gravity_memory_records_events(v_settings) THEN
        RETURN NULL;
    END IF;

    v_wakes := v_settings ->> 'notify' <> 'off';
    BEGIN
        IF NOT @extschema@._gravity_memory_may_write_events() THEN
            RETURN NULL;
        END IF;
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT d.user_id, 'memory_deleted', d.id, jsonb_build_object('id', d.id, 'user_id', d.user_id),
                   v_wakes AND row_number() OVER () = 1
            FROM (SELECT o.id, o.user_id::text AS user_id FROM old_rows AS o
                  EXCEPT
                  SELECT n.id, n.user_id::text FROM new_rows AS n) AS d
            WHERE d.user_id IS NOT NULL;
        END IF;
        IF TG_OP = 'DELETE' THEN
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT o.user_id, 'memory_deleted', o.id, jsonb_build_object('id', o.id, 'user_id', o.user_id),
                   v_wakes AND row_number() OVER () = 1
            FROM old_rows AS o
            WHERE o.user_id IS NOT NULL;
        ELSE
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT n.user_id, CASE TG_OP WHEN 'INSERT' THEN 'memory_created' ELSE 'memory_updated' END, n.id,
                   jsonb_build_object(
                       'id', n.id, 'user_id', n.user_id, 'thread_id', n.thread_id, 'session_id', n.session_id,
                       'memory_trace_id', n.memory_trace_id, 'content', n.content, 'summary', n.summary, 'topic', n.topic,
                       'gravity_score', n.gravity_score, 'emotion_type', n.emotion_type, 'entities', n.entities,
                       'meta_tags', n.meta_tags, 'identity_anchor', n.identity_anchor, 'temporal_type', n.temporal_type,
                       'metadata', n.metadata, 'created_at', n.created_at, 'updated_at', n.updated_at),
                   v_wakes AND row_number() OVER () = 1
            FROM new_rows AS n
            WHERE n.user_id IS NOT NULL;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'gravity_memory: no events were recorded (% on gravity_map): %', TG_OP, SQLERRM
            USING ERRCODE = SQLSTATE, HINT = 'The memories are stored. Readers of the feed are told to start anew.';
        BEGIN
            PERFORM @extschema@._gravity_memory_break_feed('events of memories could not be recorded');
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'gravity_memory: readers of the feed could not be told that it misses events: %', SQLERRM
                USING ERRCODE = SQLSTATE, HINT = 'Run SELECT * FROM gravity_memory_setup().';
        END;
    END;
    RETURN NULL;
END
$_gravity_memory_publish_memories$;

COMMENT ON FUNCTION @extschema@._gravity_memory_publish_memories() IS
    'Trigger function: records what happens to memories in memory_events, and broadcasts new ones, where settings ask for it.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_publish_memories() FROM PUBLIC;
