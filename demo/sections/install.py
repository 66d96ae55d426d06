"""CREATE EXTENSION, with the dimension of the sample's embeddings."""

import psycopg
from psycopg import sql

from demo import store
from demo.claims import claim
from demo.stage import Stage
from demo.terminal import Column


def show(stage: Stage) -> None:
    """Creates the extension and lists what it made."""
    terminal, connection = stage.terminal, stage.connection
    terminal.heading("Install")
    notices: list[str] = []
    connection.add_notice_handler(lambda notice: notices.append(_as_psql_prints(notice)))
    dimensions = sql.SQL("SET gravity_memory.embedding_dimensions = {}").format(sql.Literal(stage.data.dimensions))
    connection.execute(dimensions)
    connection.execute("CREATE EXTENSION gravity_memory")
    versions: dict[str, str] = dict(connection.execute("SELECT extname, extversion FROM pg_extension").fetchall())
    tables = connection.execute(
        "SELECT c.relname, count(DISTINCT i.indexrelid), count(DISTINCT t.oid) FROM pg_class AS c "
        "LEFT JOIN pg_index AS i ON i.indrelid = c.oid "
        "LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal "
        "WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY c.relname ORDER BY c.relname"
    ).fetchall()
    embedding = store.value(
        connection,
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'gravity_map'::regclass AND attname = 'embedding'",
    )
    claim(embedding == f"vector({stage.data.dimensions})", f"gravity_map.embedding is {embedding}")
    server = store.value(connection, "SHOW server_version")
    terminal.say(
        f"PostgreSQL {server} with pgvector {versions['vector']}: one statement "
        f"made gravity_memory {versions['gravity_memory']} with its tables, indexes and triggers. "
        f"gravity_map.embedding is {embedding}."
    )
    terminal.sql(f"{dimensions.as_string(connection)}; CREATE EXTENSION gravity_memory")
    for notice in notices:
        terminal.say(notice)
    terminal.table([Column("table"), Column("indexes", right=True), Column("triggers", right=True)], tables)


def _as_psql_prints(notice: psycopg.errors.Diagnostic) -> str:
    text = f"{notice.severity}: {notice.message_primary}"
    return f"{text} HINT: {notice.message_hint}" if notice.message_hint else text
