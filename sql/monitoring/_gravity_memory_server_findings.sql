-- _gravity_memory_server_findings(): versions that do not go together, and a notification queue that fills, for
-- gravity_memory_check().
--
-- Signatures need binary_quantize() of pgvector 0.7.0. The version that is published is that of the files on the server.
CREATE FUNCTION @extschema@._gravity_memory_server_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
AS $_gravity_memory_server_findings$
DECLARE
    v_limit CONSTANT double precision := (@extschema@._gravity_memory_effective_settings() ->> 'notify_queue_limit')::double precision;
BEGIN
    RETURN QUERY
    SELECT 'error', 'old_pgvector', 'vector', format('pgvector is %s here; recall needs 0.7.0 or newer.', e.extversion),
           'ALTER EXTENSION vector UPDATE'
    FROM pg_extension AS e
    WHERE e.extname = 'vector'
      AND string_to_array(substring(e.extversion FROM '^[0-9]+(?:\.[0-9]+)*'), '.')::integer[] < '{0,7,0}'::integer[];

    RETURN QUERY
    SELECT 'warning', 'other_version', 'gravity_memory',
           format('Version %s is installed here, the files of the server are those of %s.', a.installed_version, a.default_version),
           'ALTER EXTENSION gravity_memory UPDATE'
    FROM pg_available_extensions AS a
    WHERE a.name = 'gravity_memory' AND a.installed_version <> a.default_version;

    IF pg_notification_queue_usage() > v_limit THEN
        RETURN QUERY SELECT 'error', 'notification_queue', 'pg_notification_queue_usage()',
            format('%s %% of the notification queue is in use, and above %s %% nothing is announced: a session that listens '
                   'does not read.',
                   round(100 * pg_notification_queue_usage()::numeric, 4), 100 * v_limit),
            -- Which one it is, PostgreSQL does not say; a full queue names it in the server's log.
            'SELECT pid, usename, application_name, state, xact_start, query FROM pg_stat_activity '
            'WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY xact_start';
    END IF;
END
$_gravity_memory_server_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_server_findings() IS
    'Findings of gravity_memory_check() about versions and the notification queue.';
