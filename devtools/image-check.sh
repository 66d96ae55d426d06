#!/bin/sh
# Inside the built image: what the official image's entry point does at the first start, then what a user does.
# Prints "image works" at the end; every failure before it ends the script.
set -eu
export PGDATA=/tmp/pgdata PGHOST=/tmp PGPORT=5477 POSTGRES_USER=postgres POSTGRES_DB=app
options="-p $PGPORT -c unix_socket_directories=/tmp -c jit=off"
healthy() { pg_isready --host=127.0.0.1 --username="$POSTGRES_USER" --quiet; }

initdb --auth=trust --username="$POSTGRES_USER" --no-sync > /dev/null
pg_ctl --wait --silent --log=/tmp/log --options="$options -c listen_addresses=''" start
createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
if healthy; then echo "the health check answers during initialization"; exit 1; fi
for script in /docker-entrypoint-initdb.d/*; do sh "$script"; done
pg_ctl --wait --silent --mode=fast stop
pg_ctl --wait --silent --log=/tmp/log --options="$options" start
healthy
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
CREATE EXTENSION pg_cron;
CREATE EXTENSION pgtap;
CREATE EXTENSION gravity_memory CASCADE;
SELECT extname, extversion FROM pg_catalog.pg_extension ORDER BY extname;
SELECT jobname, schedule FROM cron.job ORDER BY jobname;
-- A division by zero, and with it an end, when setup found no pg_cron to schedule its jobs in.
SELECT count(*) / count(*) AS has_jobs FROM cron.job;
SQL
pg_ctl --wait --silent --mode=fast stop
echo "image works"
