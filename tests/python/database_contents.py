"""What a database holds, in a form that can be compared before and after a dump and restore."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from devtools.fixtures import Connection

Rows = list[tuple[object, ...]]

# Everything that pg_dump must carry over, without OIDs, which differ.
_CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               pg_get_expr(d.adbin, d.adrelid), a.attstorage
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped""",
    "tables": """
        SELECT c.relname, pg_get_userbyid(c.relowner), c.relpersistence, c.relrowsecurity,
               (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(c.relacl) AS x),
               obj_description(c.oid, 'pg_class')
        FROM pg_class AS c WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'r'""",
    "sequences": """
        SELECT sequencename, data_type::text, start_value, increment_by, cycle, last_value FROM pg_sequences
        WHERE quote_ident(schemaname)::regnamespace = %(schema)s::regnamespace""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = %(schema)s::regnamespace AND contype <> 'n'""",
    "indexes": """
        SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid, pg_get_userbyid(c.relowner)
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE c.relnamespace = %(schema)s::regnamespace""",
    "triggers": """
        SELECT t.tgrelid::regclass::text, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid)
        FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
        WHERE c.relnamespace = %(schema)s::regnamespace AND NOT t.tgisinternal""",
    "policies": """
        SELECT tablename, policyname, roles::text, cmd, qual, with_check FROM pg_policies
        WHERE quote_ident(schemaname)::regnamespace = %(schema)s::regnamespace""",
    "extensions": """
        SELECT e.extname, e.extversion, n.nspname, obj_description(e.oid, 'pg_extension')
        FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace""",
    "functions": """
        -- Owners are left out: whoever restores a dump owns the extension's functions.
        SELECT p.oid::regprocedure::text, md5(p.prosrc), p.proconfig::text, p.prosecdef,
               obj_description(p.oid, 'pg_proc'),
               d.deptype,
               (SELECT array_agg(x.grantee::regrole::text || x.privilege_type ORDER BY 1)
                FROM aclexplode(p.proacl) AS x WHERE x.grantee NOT IN (p.proowner, x.grantor)) AS granted
        FROM pg_proc AS p
        LEFT JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        WHERE p.pronamespace = %(schema)s::regnamespace
          AND NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.oid = d.refobjid AND e.extname = 'vector')""",
    "tables in an extension": """
        SELECT c.relname FROM pg_class AS c
        JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        WHERE c.relnamespace = %(schema)s::regnamespace""",
}


@dataclass(frozen=True)
class Contents:
    """What one schema of a database holds.

    Attributes:
        rows: every row of every table, whole and in a fixed order, as PostgreSQL prints it.
        catalogue: tables, columns, indexes, triggers, privileges, comments and the rest, by kind.
    """

    rows: dict[str, Rows]
    catalogue: dict[str, Rows]


def read_contents(connection: Connection, schema: str) -> Contents:
    """Read all of a schema's tables and their definitions, as a superuser."""
    connection.execute("SET search_path = pg_catalog")
    quoted = sql.Identifier(schema).as_string(connection)
    catalogue = {
        kind: sorted(connection.execute(query.encode(), {"schema": quoted}).fetchall(), key=repr)
        for kind, query in _CATALOGUE.items()
    }
    rows: dict[str, Rows] = {}
    for name in sorted({str(row[0]) for row in catalogue["tables"]}):
        query = sql.SQL("SELECT t::text, to_jsonb(t)::text FROM {} AS t ORDER BY 1").format(
            sql.Identifier(schema, name)
        )
        rows[name] = connection.execute(query).fetchall()
    connection.execute("RESET search_path")
    return Contents(rows, catalogue)
