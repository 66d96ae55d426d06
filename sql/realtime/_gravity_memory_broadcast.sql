-- _gravity_memory_broadcast(p_user_id, p_payload): sends one private message to a user's topic, by Supabase's realtime.send().
--
-- Topic broadcasts:<user_id>, event memory_created (spec). It runs with the rights of the owner of gravity_map, so a realtime.send() that
-- somebody made who is not trusted with them is not called: its owner has to be a superuser, or, while the owner of gravity_map is none, a
-- role that this one is a member of.
-- realtime.send() turns its own errors into a WARNING. Errors: 42883 where it is missing, 42501 where it is not trusted.
CREATE FUNCTION @extschema@._gravity_memory_broadcast(p_user_id text, p_payload jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_broadcast$
DECLARE
    v_is_trusted boolean;
BEGIN
    SELECT o.rolsuper OR (NOT m.rolsuper AND pg_has_role(m.oid, o.oid, 'MEMBER')) INTO v_is_trusted
    FROM pg_proc AS p
    JOIN pg_roles AS o ON o.oid = p.proowner
    JOIN pg_roles AS m ON m.rolname = current_user
    WHERE p.oid = to_regprocedure('realtime.send(jsonb, text, text, boolean)');
    IF v_is_trusted IS NULL THEN
        RAISE EXCEPTION 'the function realtime.send(jsonb, text, text, boolean) does not exist' USING ERRCODE = 'undefined_function';
    ELSIF NOT v_is_trusted THEN
        RAISE EXCEPTION 'the owner of realtime.send(jsonb, text, text, boolean) is not trusted with the rights of %', current_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE 'SELECT realtime.send($1, $2, $3, $4)' USING p_payload, 'memory_created'::text, 'broadcasts:' || p_user_id, true;
END
$_gravity_memory_broadcast$;

COMMENT ON FUNCTION @extschema@._gravity_memory_broadcast(text, jsonb) IS
    'Sends one private message to a user''s topic of Supabase''s realtime server.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_broadcast(text, jsonb) FROM PUBLIC;
