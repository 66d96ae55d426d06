-- _gravity_memory_check_feed(): whether the caller can read the feed; an error where it would be empty for ever.
--
-- Errors: 55000 while nothing is recorded, the table is missing, or memories or arcs come by a subscription: no trigger runs for what logical
-- replication writes, and events that it brings carry the numbers of the publisher's transactions. 42501 for a caller who may not
-- read it, or from whom row security hides every event.
CREATE FUNCTION @extschema@._gravity_memory_check_feed()
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_check_feed$
BEGIN
    IF NOT @extschema@._gravity_memory_records_events(@extschema@._gravity_memory_effective_settings()) THEN
        RAISE EXCEPTION 'no events are recorded'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Run SELECT gravity_memory_set(''notify'', ''wakeup''), or gravity_memory_set(''feed'', ''on'') to keep '
                         'the notifications with data besides.';
    END IF;
    IF to_regclass('@extschema@.memory_events') IS NULL THEN
        RAISE EXCEPTION 'the table memory_events does not exist'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT * FROM gravity_memory_setup().';
    END IF;
    IF EXISTS (SELECT FROM pg_subscription_rel AS r
               WHERE r.srrelid IN (to_regclass('@extschema@.gravity_map'), to_regclass('@extschema@.memory_arcs'))) THEN
        RAISE EXCEPTION 'memories or arcs come here by a subscription, and their changes are not recorded here'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Read the feed of the publisher. After DROP SUBSCRIPTION run TRUNCATE memory_events, which has readers start anew.';
    END IF;
    IF NOT has_table_privilege('@extschema@.memory_events', 'SELECT') THEN
        RAISE EXCEPTION 'permission denied for table memory_events'
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Ask the owner of the tables for GRANT SELECT ON memory_events; row security shows each role its user''s events only.';
    END IF;
    IF row_security_active('@extschema@.memory_events')
       AND NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = '@extschema@.memory_events'::regclass AND p.polcmd IN ('r', '*')) THEN
        RAISE EXCEPTION 'row security hides every event from %', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Run SELECT * FROM gravity_memory_enable_rls() as the owner of the tables, or make a policy on memory_events that shows '
                         'a role its user''s events, and those of the user '''', which say that the feed has a break: CREATE POLICY ... FOR SELECT USING (user_id IN (..., '''')).';
    END IF;
END
$_gravity_memory_check_feed$;

COMMENT ON FUNCTION @extschema@._gravity_memory_check_feed() IS
    'Refuses a reader of the feed for whom it would be empty for ever.';
