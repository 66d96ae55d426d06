# PostgreSQL with gravity_memory, pgvector, pg_cron and pgTAP.
#
#   docker build --tag gravity_memory .
#   docker run --detach --env POSTGRES_PASSWORD=secret --publish 5432:5432 gravity_memory
#
# then, in the database that POSTGRES_DB names:
#
#   CREATE EXTENSION pg_cron; CREATE EXTENSION gravity_memory CASCADE;
#
# BASE is an official Debian image of PostgreSQL 15 or newer: --build-arg BASE=postgres:16
ARG BASE=postgres:17
FROM ${BASE}

# PG_MAJOR comes from the base image.
RUN set -eux; \
    apt-get update; \
    apt-get install -y --no-install-recommends \
      "postgresql-$PG_MAJOR-pgvector" "postgresql-$PG_MAJOR-cron" "postgresql-$PG_MAJOR-pgtap"; \
    rm -rf /var/lib/apt/lists/*

# make is needed for this step only; PGXS's files come with Debian's postgresql-client.
COPY Makefile gravity_memory.control gravity_memory--*.sql /usr/src/gravity_memory/
COPY sql /usr/src/gravity_memory/sql
RUN set -eux; \
    apt-get update; \
    apt-get install -y --no-install-recommends make; \
    make -C /usr/src/gravity_memory install "PG_CONFIG=/usr/lib/postgresql/$PG_MAJOR/bin/pg_config"; \
    apt-get purge -y --auto-remove make; \
    rm -rf /var/lib/apt/lists/* /usr/src/gravity_memory

# initdb copies the sample, so every new cluster preloads pg_cron. The database it works in is known at first start.
RUN echo "shared_preload_libraries = 'pg_cron'" >> "/usr/share/postgresql/$PG_MAJOR/postgresql.conf.sample"
COPY devtools/docker-init.sh /docker-entrypoint-initdb.d/10-gravity_memory.sh

# Over TCP, because the server that runs during initialization listens on its socket only.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=5 \
    CMD pg_isready --host=127.0.0.1 --username="${POSTGRES_USER:-postgres}" --quiet
