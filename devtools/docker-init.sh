#!/bin/sh
# Runs once, when the container's cluster is new: pg_cron works in one database only, and that is the container's own.
# The setting counts from the server's next start, which follows.
set -eu
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  --set=database="$POSTGRES_DB" <<'SQL'
ALTER SYSTEM SET cron.database_name = :'database';
SQL
