-- _gravity_memory_notify(p_channel, p_payload): sends one notification that is sure to fit.
--
-- pg_notify() refuses payloads of 8,000 bytes and more, and with them the whole statement. A payload that is too long loses its
-- longest texts first (they become null, because half an identifier is a wrong one) and gains "truncated": true; id goes
-- never, user_id only when it does not fit by itself.
CREATE FUNCTION @extschema@._gravity_memory_notify(p_channel text, p_payload json)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_notify$
DECLARE
    c_longest_payload CONSTANT integer := 7999;
    v_payload text := p_payload::text;
    v_dropped text[] := ARRAY[]::text[];
BEGIN
    WHILE octet_length(v_payload) > c_longest_payload LOOP
        SELECT v_dropped || e.key INTO STRICT v_dropped
        FROM json_each(p_payload) AS e
        WHERE json_typeof(e.value) = 'string' AND e.key <> 'id' AND e.key <> ALL (v_dropped)
        ORDER BY e.key = 'user_id', octet_length(e.value::text) DESC
        LIMIT 1;
        SELECT left(json_object_agg(e.key, CASE WHEN e.key <> ALL (v_dropped) THEN e.value END ORDER BY e.ordinality)::text, -1)
               || ', "truncated" : true }'
        INTO v_payload
        FROM json_each(p_payload) WITH ORDINALITY AS e;
    END LOOP;
    PERFORM pg_notify(p_channel, v_payload);
END
$_gravity_memory_notify$;

COMMENT ON FUNCTION @extschema@._gravity_memory_notify(text, json) IS
    'Sends a notification, shortened to fit the limit of pg_notify().';
