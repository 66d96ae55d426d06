-- _gravity_memory_records_events(p_settings): whether changes go into memory_events.
--
-- They do when notify is wakeup, which announces nothing but that there is something to read; and when feed is on, besides what
-- notify says.
CREATE FUNCTION @extschema@._gravity_memory_records_events(p_settings jsonb)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_records_events$
    SELECT p_settings ->> 'notify' = 'wakeup' OR p_settings ->> 'feed' = 'on'
$_gravity_memory_records_events$;

COMMENT ON FUNCTION @extschema@._gravity_memory_records_events(jsonb) IS
    'Whether changes are recorded in memory_events, by these settings.';
