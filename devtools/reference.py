"""docs/reference.md: what a fresh installation says of itself in its catalogues and comments.

    python3 -m devtools run devtools.reference

Nothing in it is written by hand but headings and what stands below them, so to change it, change a COMMENT, a catalogue
or a setting's meaning in sql/. It is the same on every version of PostgreSQL.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from devtools import REPO
from devtools.errors import SetupError
from devtools.fixtures import EXTENSIONS, Connection
from devtools.servers import embedded_server, stop_on_terminate

REFERENCE = REPO / "docs" / "reference.md"

# What is read with current_setting() and no catalogue lists; one that is missing here is an error.
_SESSION_VARIABLES = {
    "embedding_dimensions": (
        "How many dimensions the column `embedding` gets in a table that setup makes: 1 to 2000, 1536 when not set. It "
        "is read when `CREATE EXTENSION` or `gravity_memory_setup()` makes it; in a table that is there, the "
        "column decides."
    ),
    "importing": "Set by `gravity_memory_import_user()` for its own time. Do not set it.",
    "setup": (
        "`off`: `CREATE EXTENSION` and `ALTER EXTENSION UPDATE` bring functions only, and `gravity_memory_setup()` "
        "does the rest when its time has come: [adoption.md](adoption.md). Otherwise `on`."
    ),
    "user_id": (
        "The user for whom the session, or with SET LOCAL the transaction, stands; what row security goes by where "
        "there are no `request.jwt.claims`. `gravity_memory_current_user_id()` returns it."
    ),
    "arc_totals": "Kept by the triggers, within a transaction. Do not set it.",
}

_INTRODUCTION = """\
# Reference

Every public function, setting, table, index, trigger and job. `make reference` writes this file from a fresh
installation's catalogues and comments, and a test compares the two; in a database, `\\df+`, `\\d+` and the functions
named below show the same.

Functions whose names begin with `_gravity_memory_` are helpers, and may change with any version. What
`gravity_memory_check()` finds, and what to do about it, is in [operations.md](operations.md#what-to-do-by-finding); the
channels of NOTIFY are in [guide.md](guide.md#notifications).
"""

_FUNCTIONS = """
SELECT p.oid, p.proname, p.prokind = 'p', p.provolatile, p.prosecdef,
       has_function_privilege('public', p.oid, 'EXECUTE'), obj_description(p.oid, 'pg_proc'), p.proretset,
       format_type(p.prorettype, NULL)
FROM pg_proc AS p
JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
WHERE e.extname = 'gravity_memory' AND p.proname !~ '^_'
ORDER BY p.proname"""

_ARGUMENTS = """
SELECT COALESCE(p.proargmodes[a.place], 'i'), quote_ident(p.proargnames[a.place]), format_type(a.type, NULL),
       pg_get_function_arg_default(p.oid, a.place::integer)
FROM pg_proc AS p CROSS JOIN unnest(COALESCE(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY AS a (type, place)
WHERE p.oid = %s
ORDER BY a.place"""

_SETTINGS = """
SELECT name, kind, default_value, minimum, maximum, choices, unit, meaning
FROM _gravity_memory_setting_definitions() ORDER BY name"""

_TABLES = """
SELECT t.table_name, c.oid, t.is_derived, t.storage, obj_description(c.oid, 'pg_class'), c.relrowsecurity,
       has_table_privilege('public', c.oid, 'SELECT')
FROM _gravity_memory_table_catalogue() WITH ORDINALITY AS t
JOIN pg_class AS c ON c.oid = to_regclass(quote_ident(t.table_name))
ORDER BY t.ordinality"""

_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
       a.attidentity <> '', c.also_accepted, col_description(a.attrelid, a.attnum)
FROM pg_attribute AS a
JOIN pg_class AS r ON r.oid = a.attrelid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
JOIN _gravity_memory_column_catalogue() AS c ON c.table_name = r.relname AND c.column_name = a.attname
WHERE a.attrelid = %s AND a.attnum > 0
ORDER BY a.attnum"""

_CONSTRAINTS = """
SELECT pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = %s AND contype IN ('p', 'u', 'f', 'c') ORDER BY contype = 'c', contype = 'f', conname"""

_POLICIES = """
SELECT p.policyname, p.cmd, p.roles::text, p.qual, p.with_check FROM pg_policies AS p
WHERE p.tablename = %s AND quote_ident(p.schemaname)::regnamespace =
      (SELECT extnamespace FROM pg_extension WHERE extname = 'gravity_memory')
ORDER BY p.policyname"""

_TRIGGERS = """
SELECT t.tgrelid::regclass::text, t.tgname, pg_get_triggerdef(t.oid), p.proname, obj_description(p.oid, 'pg_proc')
FROM _gravity_memory_trigger_catalogue() AS c
JOIN pg_trigger AS t ON t.tgname = c.trigger_name AND t.tgrelid = to_regclass(quote_ident(c.table_name))
JOIN pg_proc AS p ON p.oid = t.tgfoid
ORDER BY c.table_name, t.tgname"""

_VOLATILITY = {"i": "Immutable", "s": "Stable", "v": "Volatile"}


def reference(connection: Connection) -> str:
    """The whole document, from a database where the extension was just created.

    Raises:
        SetupError: something there has no description.
    """
    sections: Iterable[Iterator[str]] = (
        _functions(connection),
        _settings(connection),
        _tables(connection),
        _indexes(connection),
        _triggers(connection),
        _jobs(connection),
    )
    return _INTRODUCTION + "\n" + "\n".join("\n".join(section) for section in sections)


def _functions(connection: Connection) -> Iterator[str]:
    folders = {path.stem: path.parent.name for path in (REPO / "sql").glob("*/*.sql")}
    rows = connection.execute(_FUNCTIONS).fetchall()
    yield "## Functions\n"
    yield "By capability, which is the folder of their source in [sql/](../sql/load_order.txt).\n"
    for folder in sorted({folders[row[1]] for row in rows}):
        yield f"### {folder.replace('_', ' ').capitalize()}\n"
        for oid, name, is_procedure, volatility, runs_as_owner, is_public, comment, is_set, result in rows:
            if folders[name] != folder:
                continue
            arguments = connection.execute(_ARGUMENTS, (oid,)).fetchall()
            yield f"#### {name}\n"
            yield "```"
            yield from _signature(name, arguments, "" if is_procedure else result, is_set)
            yield "```\n"
            facts = [
                "A procedure" if is_procedure else _VOLATILITY[volatility],
                "executable by everybody" if is_public else "executable by the owner, and whom the owner grants it",
                *(["runs with the rights of its owner"] if runs_as_owner else []),
            ]
            yield f"{'; '.join(facts)}.\n"
            yield _described(comment, name).replace("\nErrors: ", "\n\nErrors: ") + "\n"


def _signature(name: str, arguments: Sequence[tuple[object, ...]], result: str, is_set: bool) -> Iterator[str]:
    taken = [
        f"{argument} {kind}{'' if default is None else f' DEFAULT {_default(str(default))}'}"
        for mode, argument, kind, default in arguments
        if mode != "t"
    ]
    returned = [f"{argument} {kind}" for mode, argument, kind, _ in arguments if mode == "t"]
    yield from _listed(f"{name}(", taken)
    if returned:
        yield from _listed("RETURNS TABLE (", returned)
    elif result:
        yield f"RETURNS {'SETOF ' if is_set else ''}{result}"


def _listed(beginning: str, parts: Sequence[str]) -> Iterator[str]:
    """On one line where that is short, else one part a line."""
    line = f"{beginning}{', '.join(parts)})"
    if len(line) <= 100:
        yield line
    else:
        yield beginning
        yield from (f"    {part}{',' if place < len(parts) else ')'}" for place, part in enumerate(parts, 1))


def _settings(connection: Connection) -> Iterator[str]:
    yield "## Settings\n"
    yield "`gravity_memory_settings()` shows them, `gravity_memory_set(name, value)` changes them for all sessions."
    yield ""
    rows = []
    for name, kind, default, minimum, maximum, choices, unit, meaning in connection.execute(_SETTINGS).fetchall():
        takes = {
            "number": f"{minimum} to {maximum}",
            "integer": f"{minimum} to {maximum}, whole",
            "interval": "above zero",
            "choice": ", ".join(f"`{choice}`" for choice in choices or ()),
            "list": "entries that are not empty",
            "pattern": "one that does not match the empty string",
            "text search configuration": "one of the database",
            "schedule": "five fields, or `30 seconds`",
        }[kind]
        rows.append((f"`{name}`", _code(default), takes, unit, _described(meaning, name)))
    yield from _table(("setting", "default", "takes", "unit", "effect"), rows)
    sources = "".join(path.read_text(encoding="utf-8") for path in sorted((REPO / "sql").glob("*/*.sql")))
    variables = sorted(set(re.findall(r"current_setting\('gravity_memory\.(\w+)'", sources)))
    missing = [name for name in variables if name not in _SESSION_VARIABLES]
    if missing:
        raise SetupError(f"devtools/reference.py does not describe gravity_memory.{', gravity_memory.'.join(missing)}")
    yield "### Of a session\n"
    yield "With SET:\n"
    yield from _table(
        ("variable", "effect"), [(f"`gravity_memory.{name}`", _SESSION_VARIABLES[name]) for name in variables]
    )


def _tables(connection: Connection) -> Iterator[str]:
    yield "## Tables\n"
    yield (
        "Setup makes those that are missing. An adopted table keeps its own constraints, comments and columns,\n"
        "and may have other types where the last but one column says so.\n"
    )
    for name, oid, is_derived, storage, comment, is_guarded, is_readable in connection.execute(_TABLES).fetchall():
        yield f"### {name}\n"
        facts = [_described(comment, name)]
        if is_derived:
            facts.append(
                "Derived: `CALL gravity_memory_rebuild_recall(p_everything => true)` makes it from `gravity_map`."
            )
        if is_readable:
            facts.append("Everybody may SELECT.")
        if storage:
            facts.append(f"WITH ({storage}).")
        yield " ".join(facts) + "\n"
        columns = [
            (
                f"`{column}`",
                kind,
                "identity" if is_identity else _code(_default(default)) if default is not None else "",
                "" if is_required else "yes",
                ", ".join(accepted),
                _described(purpose, f"{name}.{column}"),
            )
            for column, kind, is_required, default, is_identity, accepted, purpose in connection.execute(
                _COLUMNS, (oid,)
            ).fetchall()
        ]
        yield from _table(("column", "type", "default", "NULL", "adopted also as", "what it is"), columns)
        constraints = [str(row[0]) for row in connection.execute(_CONSTRAINTS, (oid,)).fetchall()]
        yield from (f"- {_code(constraint)}" for constraint in constraints)
        policies = connection.execute(_POLICIES, (name,)).fetchall()
        if is_guarded:
            closed = ", and has no policy: only the owner reads and writes it"
            yield f"- Row security is on{'' if policies else closed}."
        for policy, command, roles, using, check in policies:
            shown, written = (_code((expression or "").replace("::text", "")) for expression in (using, check))
            clauses = f"USING {shown}" + (
                f" WITH CHECK {written if written != shown else '(the same)'}" if written else ""
            )
            yield f"- Policy `{policy}`, {command}, {roles.strip('{}')}: {clauses}"
        yield ""


def _indexes(connection: Connection) -> Iterator[str]:
    yield "## Indexes\n"
    yield (
        "Beside those of primary keys. The two on `embedding` are built when there are enough of them, with lists\n"
        "for their number: see [recall.md](recall.md#across-users). `gravity_memory_index_usage()` says which are\n"
        "used.\n"
    )
    rows = connection.execute(
        "SELECT table_name, index_name, is_unique, definition, serves, in_spec FROM gravity_memory_index_catalogue()"
        " ORDER BY table_name, index_name"
    ).fetchall()
    yield from _table(
        ("index", "on", "definition", "of the specification", "serves"),
        [
            (
                f"`{index}`",
                f"`{table}`",
                f"{'UNIQUE ' if is_unique else ''}{_code(_settled(definition))}",
                "yes" if in_spec else "no",
                _code(serves),
            )
            for table, index, is_unique, definition, serves, in_spec in rows
        ],
    )


def _settled(definition: str) -> str:
    """Without the schema of pgvector, and with a placeholder for what the number of rows decides."""
    return re.sub(r"lists = \d+", "lists = ...", re.sub(r"\w+\.(vector_\w+_ops)", r"\1", definition))


def _triggers(connection: Connection) -> Iterator[str]:
    yield "## Triggers\n"
    rows = []
    for table, trigger, definition, function, comment in connection.execute(_TRIGGERS).fetchall():
        fires = re.search(rf"TRIGGER {trigger} (.*?) ON ", definition)
        assert fires is not None, definition
        how = "at the commit" if "INITIALLY DEFERRED" in definition else "statement"
        per = "row" if "FOR EACH ROW" in definition and how == "statement" else how
        purpose = _described(comment, function).split("\n", maxsplit=1)[0].removeprefix("Trigger function: ")
        rows.append((f"`{trigger}`", f"`{table}`", fires[1], per, f"`{function}()`: {purpose}"))
    yield from _table(("trigger", "on", "fires", "for each", "calls"), rows)


def _jobs(connection: Connection) -> Iterator[str]:
    yield "## Jobs\n"
    yield "Of pg_cron, where it is in the database, with the schedules of the settings.\n"
    rows = connection.execute("SELECT job_name, schedule, command FROM _gravity_memory_job_catalogue() ORDER BY 1")
    yield from _table(("job", "schedule", "command"), [tuple(map(_code, row)) for row in rows.fetchall()])


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def _code(text: str) -> str:
    return f"`{' '.join(text.split())}`" if text else ""


def _default(expression: str) -> str:
    """Without the type that PostgreSQL adds to a literal."""
    return re.sub(r"^('.*'|NULL)::[a-z ]+(\[\])?$", r"\1", expression)


def _described(text: str | None, name: str) -> str:
    """As Markdown shows it: it would take <emotion> for a tag."""
    if not text:
        raise SetupError(f"{name} has no description")
    return re.sub(r"([<*])", r"\\\1", text)


def write(path: Path = REFERENCE) -> None:
    """Install into a database of an embedded server and write what it says.

    Raises:
        SetupError: something has no description, or the extension could not be installed.
    """
    with embedded_server() as server:
        server.create_database("reference", extensions=EXTENSIONS)
        with server.connect("reference") as connection:
            path.write_text(reference(connection), encoding="utf-8")


def main() -> int:
    """Write the file and say so."""
    stop_on_terminate()
    try:
        write()
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {REFERENCE.relative_to(REPO)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
