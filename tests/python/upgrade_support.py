"""Databases with a released version, their upgrade, and everything that makes two installations the same."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from devtools import REPO
from devtools.fixtures import Connection
from devtools.metadata import control_version, released_versions

Rows = list[tuple[object, ...]]

RELEASED = released_versions(REPO)
"""The versions that the upgrades start from, the oldest first."""

FIRST = "0.1.0"
"""The version that had no derived tables, no searches, and indexes on embeddings that were made on empty tables."""

SUPERSEDED = "idx_gravity_map_user_session"
"""An index that 0.2.1 gave up; an upgrade from before drops it."""

CURRENT = control_version(REPO)
"""The version that they lead to."""

# One query for each kind of thing. %(schema)s is the extension's schema, quoted; OIDs, which differ, are left out.
_CATALOGUE = {
    "extension": """
        SELECT e.extversion, pg_get_userbyid(e.extowner), n.nspname, e.extrelocatable, e.extconfig IS NULL,
               obj_description(e.oid, 'pg_extension')
        FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'gravity_memory'""",
    "members": """
        SELECT pg_describe_object(d.classid, d.objid, d.objsubid), d.deptype
        FROM pg_depend AS d JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        WHERE e.extname = 'gravity_memory'""",
    # Body, language, arguments with their names and defaults, result, volatility, security, cost, rows, settings.
    "functions": """
        SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid)
        FROM pg_proc AS p WHERE p.pronamespace = %(schema)s::regnamespace""",
    "owners, privileges and comments of functions": """
        SELECT p.oid::regprocedure::text, pg_get_userbyid(p.proowner),
               ARRAY(SELECT x::text FROM unnest(p.proacl) AS x ORDER BY 1), obj_description(p.oid, 'pg_proc')
        FROM pg_proc AS p WHERE p.pronamespace = %(schema)s::regnamespace""",
    # What pg_dump compares privileges with: it writes down only what was granted since.
    "first privileges": """
        SELECT pg_describe_object(i.classoid, i.objoid, i.objsubid), i.privtype,
               ARRAY(SELECT x::text FROM unnest(i.initprivs) AS x ORDER BY 1)
        FROM pg_init_privs AS i JOIN pg_proc AS p ON i.classoid = 'pg_proc'::regclass AND i.objoid = p.oid
        WHERE p.pronamespace = %(schema)s::regnamespace
        UNION ALL
        SELECT pg_describe_object(i.classoid, i.objoid, i.objsubid), i.privtype,
               ARRAY(SELECT x::text FROM unnest(i.initprivs) AS x ORDER BY 1)
        FROM pg_init_privs AS i JOIN pg_class AS c ON i.classoid = 'pg_class'::regclass AND i.objoid = c.oid
        WHERE c.relnamespace = %(schema)s::regnamespace""",
    "tables": """
        SELECT c.relname, c.relkind, pg_get_userbyid(c.relowner), c.relpersistence, c.relrowsecurity,
               c.relforcerowsecurity, c.relreplident, c.reloptions, o.reloptions,
               ARRAY(SELECT x::text FROM unnest(c.relacl) AS x ORDER BY 1), obj_description(c.oid, 'pg_class')
        FROM pg_class AS c LEFT JOIN pg_class AS o ON o.oid = c.reltoastrelid
        WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind NOT IN ('i', 'I')""",
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attisdropped,
               pg_get_expr(d.adbin, d.adrelid), a.attstorage, a.attcompression, a.attidentity, a.attgenerated,
               a.attstattarget, ARRAY(SELECT o FROM unnest(a.attoptions) AS o WHERE o ^@ 'n_distinct'),
               a.attacl::text, a.attcollation::regcollation::text,
               col_description(c.oid, a.attnum)
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0""",
    "constraints": """
        SELECT k.conrelid::regclass::text, k.conname, pg_get_constraintdef(k.oid), k.convalidated, k.condeferrable,
               obj_description(k.oid, 'pg_constraint')
        FROM pg_constraint AS k WHERE k.connamespace = %(schema)s::regnamespace""",
    "indexes": """
        SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready, i.indisclustered,
               i.indisreplident, pg_get_userbyid(c.relowner), obj_description(c.oid, 'pg_class')
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE c.relnamespace = %(schema)s::regnamespace""",
    "triggers": """
        SELECT t.tgrelid::regclass::text, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid),
               obj_description(t.oid, 'pg_trigger')
        FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
        WHERE c.relnamespace = %(schema)s::regnamespace AND NOT t.tgisinternal""",
    "policies": "SELECT * FROM pg_policies WHERE schemaname = (%(schema)s::regnamespace)::text",
    "rules": "SELECT * FROM pg_rules WHERE schemaname = (%(schema)s::regnamespace)::text",
    "statistics": "SELECT stxname FROM pg_statistic_ext WHERE stxnamespace = %(schema)s::regnamespace",
    "types": """
        SELECT t.typname FROM pg_type AS t
        WHERE t.typnamespace = %(schema)s::regnamespace AND t.typelem = 0 AND t.typrelid = 0""",
    "publications": "SELECT * FROM pg_publication_tables",
}


def install(connection: Connection, schema: str, version: str, *, dimensions: int = 16) -> None:
    """Create the extension, in this version, in a schema that is made if need be."""
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    connection.execute(f"SET gravity_memory.embedding_dimensions = {dimensions}".encode())
    connection.execute(
        sql.SQL("CREATE EXTENSION gravity_memory SCHEMA {} VERSION {}").format(
            sql.Identifier(schema), sql.Literal(version)
        )
    )


def upgrade(connection: Connection, version: str = CURRENT) -> None:
    """Bring the extension to a version: the current one, which is also what is meant when none is named."""
    if version == CURRENT:
        connection.execute("ALTER EXTENSION gravity_memory UPDATE")
    else:
        connection.execute(sql.SQL("ALTER EXTENSION gravity_memory UPDATE TO {}").format(sql.Literal(version)))


def catalogue(connection: Connection, schema: str) -> dict[str, Rows]:
    """Everything that is defined in a schema in which pgvector is not, as sorted rows by kind."""
    connection.execute("SET search_path = pg_catalog")
    name = sql.Identifier(schema).as_string(connection)
    found = {
        kind: sorted(connection.execute(query.encode(), {"schema": name}).fetchall(), key=repr)
        for kind, query in _CATALOGUE.items()
    }
    connection.execute("RESET search_path")
    return found


def differences(found: dict[str, Rows], wanted: dict[str, Rows]) -> dict[str, dict[str, Rows]]:
    """What two catalogues do not share, by kind; empty when they are the same."""
    assert set(found) == set(wanted) == set(_CATALOGUE)
    return {
        kind: {
            "missing": [row for row in wanted[kind] if row not in found[kind]],
            "surplus": [row for row in found[kind] if row not in wanted[kind]],
        }
        for kind in found
        if found[kind] != wanted[kind]
    }


def rows(connection: Connection, schema: str, tables: Sequence[str]) -> dict[str, Rows]:
    """Every row of the tables with where it lies and which transaction wrote it: a row rewritten as it was differs."""
    return {
        table: connection.execute(
            sql.SQL("SELECT t.ctid::text, t.xmin::text, t::text FROM {} AS t ORDER BY 1").format(
                sql.Identifier(schema, table)
            )
        ).fetchall()
        for table in tables
    }


def tables_of(connection: Connection, schema: str) -> list[str]:
    """The tables in a schema."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1"
    return [row[0] for row in connection.execute(query, (schema,)).fetchall()]


def derived(connection: Connection) -> list[Rows]:
    """What recall reads of every memory, sorted; without where it lies or when it was made."""
    return [
        connection.execute(
            "SELECT user_id, memory_id, length, signature::text, term_keys FROM memory_digests ORDER BY 2"
        ).fetchall(),
        connection.execute(
            "SELECT term_key, memory_id, frequency, length FROM memory_postings ORDER BY 1, 2"
        ).fetchall(),
    ]


def remember(connection: Connection, memories: int, *, users: int = 3, dimensions: int = 64) -> None:
    """Add memories of several users: three words each, the third a rare one, and an embedding, but for every tenth."""
    connection.execute(
        "INSERT INTO gravity_map (user_id, content, embedding)"
        " SELECT 'user ' || mod(i, %(users)s), concat('lamp river', mod(i, 4), ' comet', i / 20),"
        "   CASE WHEN mod(i, 10) <> 0 THEN"
        "     (SELECT array_agg(sin(i * 7919 + d * d)) FROM generate_series(1, %(dims)s) AS d)::vector END"
        " FROM generate_series(1, %(memories)s) AS i",
        {"users": users, "dims": dimensions, "memories": memories},
    )


def notices_of(connection: Connection) -> list[str]:
    """Collect messages with their hints that a connection gets from now on."""
    found: list[str] = []
    connection.add_notice_handler(
        lambda diagnostic: found.append(f"{diagnostic.message_primary} HINT: {diagnostic.message_hint}")
    )
    return found
