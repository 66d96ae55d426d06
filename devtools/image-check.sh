#!/bin/sh
# In a container of the built image: what the official image's entry point does, then what a user does.
#
#   check.sh first|again postgres [-c SETTING=VALUE]...
#
# `first` finds an empty volume, `again` the one that the former left. Prints "image-check: ready", waits for the end of its input
# with the server running, and stops it. Every failure ends the script.
set -eu
phase=$1
shift 2
export POSTGRES_USER=postgres PGHOST=/tmp
options="-p $PGPORT -c unix_socket_directories=/tmp -c jit=off"
healthy() { sh -c "$HEALTH_CHECK"; }
query() { psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB"; }
start() { pg_ctl --wait --silent --log=/tmp/log --options="$*" start || { cat /tmp/log; exit 1; }; }
trap 'pg_ctl --silent --mode=immediate stop 2> /dev/null || true' EXIT

if [ "$phase" = first ]; then
    mkdir -p "$PGDATA"
    # The entry point's temporary server gets the command's settings, too.
    initdb --auth=trust --username="$POSTGRES_USER" --no-sync > /dev/null
    start "$options $* -c listen_addresses=''"
    createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    if healthy; then echo "the health check answers during initialization"; exit 1; fi
    for script in /docker-entrypoint-initdb.d/*; do sh "$script"; done
    pg_ctl --wait --silent --mode=fast stop
fi
[ -s "$PGDATA/PG_VERSION" ] || { echo "the volume has no cluster in $PGDATA"; exit 1; }
start "$options $* -c listen_addresses=127.0.0.1"
healthy

if [ "$phase" = first ]; then
    query <<'SQL'
CREATE EXTENSION pg_cron;
CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION pgtap;
CREATE EXTENSION gravity_memory CASCADE;
SELECT gravity_memory_set('high_gravity_threshold', '0.8');
INSERT INTO gravity_map (user_id, content, gravity_score) VALUES ('ana', 'The cake stands, all three tiers.', 0.81);
-- pg_cron runs a job only where its launcher can connect to its database.
SELECT cron.schedule('probe', '1 second', 'SELECT 1');
DO $$
BEGIN
    FOR i IN 1 .. 300 LOOP
        EXIT WHEN EXISTS (SELECT FROM cron.job_run_details WHERE status = 'succeeded');
        COMMIT;
        PERFORM pg_sleep(0.1);
    END LOOP;
    ASSERT EXISTS (SELECT FROM cron.job_run_details WHERE status = 'succeeded'), 'pg_cron ran no job in 30 seconds';
END
$$;
SELECT cron.unschedule('probe');
SQL
fi
query <<'SQL'
DO $$
BEGIN
    ASSERT (SELECT count(*) FROM pg_extension
            WHERE extname IN ('pg_cron', 'pg_stat_statements', 'pgtap', 'gravity_memory', 'vector')) = 5, 'an extension is missing';
    ASSERT (SELECT array_agg(meta_tags) FROM gravity_map) = '{{high_gravity}}', 'the memory is not there as it was tagged';
    ASSERT (SELECT count(*) FROM recall_memories('ana', 'How many tiers has the cake?')) = 1, 'the memory is not recalled';
    ASSERT (SELECT value FROM gravity_memory_settings() WHERE name = 'high_gravity_threshold') = '0.8', 'the setting is lost';
    ASSERT (SELECT count(*) FROM cron.job WHERE active AND database = current_database())
        = (SELECT count(*) FROM _gravity_memory_job_catalogue()), 'not all jobs are scheduled';
    ASSERT (SELECT count(*) FROM pg_stat_statements) > 0, 'pg_stat_statements counts nothing';
END
$$;
SQL
echo "image-check: ready"
cat > /dev/null
trap - EXIT
pg_ctl --wait --silent --mode=fast stop
