# PostgreSQL with gravity_memory, pgvector, pg_cron and pgTAP. compose.yaml runs it with a volume; without compose:
#
#   docker build --tag gravity_memory --build-arg PG_MAJOR=17 .
#   docker run --detach --env POSTGRES_PASSWORD=secret --publish 5432:5432 gravity_memory
#
# then, in the database that POSTGRES_DB names:
#
#   CREATE EXTENSION pg_cron; CREATE EXTENSION gravity_memory CASCADE;
#
# PG_MAJOR is 15 or newer. BASE takes the place of the official image: another one on Debian that sets PG_MAJOR, as that one does.
ARG PG_MAJOR=17
ARG BASE=postgres:${PG_MAJOR}
FROM ${BASE}

# From here on, PG_MAJOR comes from the base image.
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

# initdb copies the sample, so every new cluster preloads them. The database that pg_cron works in is known at first start.
RUN echo "shared_preload_libraries = 'pg_stat_statements,pg_cron'" >> "/usr/share/postgresql/$PG_MAJOR/postgresql.conf.sample"
COPY devtools/docker-init.sh /docker-entrypoint-initdb.d/10-gravity_memory.sh

# Over TCP, because the server that runs during initialization listens on its socket only.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=5 \
    CMD pg_isready --host=127.0.0.1 --username="${POSTGRES_USER:-postgres}" --quiet
