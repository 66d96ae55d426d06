-- _gravity_memory_may_notify(p_settings, p_channel): whether notifications are wanted, and safe, now.
--
-- False when the setting notify is off. False, with a WARNING, when more than notify_queue_limit of the notification queue is in use:
-- some listener has stopped reading, and at 100% every commit that announces something would fail.
CREATE FUNCTION @extschema@._gravity_memory_may_notify(p_settings jsonb, p_channel text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_may_notify$
BEGIN
    IF p_settings ->> 'notify' = 'off' THEN
        RETURN false;
    END IF;
    IF pg_notification_queue_usage() > (p_settings ->> 'notify_queue_limit')::double precision THEN
        RAISE WARNING 'gravity_memory: % is not announced, the notification queue is % %% full', p_channel,
            round(100 * pg_notification_queue_usage()::numeric, 4)
            USING HINT = 'A session that issued LISTEN has stopped reading, or stays in a transaction; see pg_stat_activity.';
        RETURN false;
    END IF;
    RETURN true;
END
$_gravity_memory_may_notify$;

COMMENT ON FUNCTION @extschema@._gravity_memory_may_notify(jsonb, text) IS
    'Whether notifications are switched on and the notification queue has room.';
