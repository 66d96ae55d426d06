"""It works in any schema, with pgvector in another one, and whatever else lies on a session's search_path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psycopg
import pytest
from psycopg import sql

from devtools.fixtures import Connection, MakeDatabase
from devtools.servers import Server

DIMENSIONS = 64
"""From as many on, similarity is looked for by signature first."""


class Schema:
    """The extension in one schema, called with every name qualified and an empty search_path."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.name = name

    def run(self, statement: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Execute a statement in which `@` stands for the schema, and return its rows, if it has any."""
        name = sql.Identifier(self.name).as_string(self.connection)
        text = statement.replace("@", name.replace("%", "%%") if values else name)
        cursor = self.connection.execute(text.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def remember(self, user_id: str = "user", times: int = 1) -> None:
        """Insert memories that belong together."""
        for _ in range(times):
            self.run(
                "INSERT INTO @.gravity_map (user_id, content, gravity_score, emotion_type, entities, embedding)"
                " VALUES (%s, 'We will meet tomorrow', 0.9, 'joy', '{Ivy,Atlas,Matt,Blu}',"
                " pg_catalog.array_fill(0.5, ARRAY[%s])::extensions.vector)",
                (user_id, DIMENSIONS),
            )


@pytest.fixture(params=["memory", "My Memory", "memory-2.ÖÄ; 10%s"])
def schema(request: pytest.FixtureRequest, server: Server, make_database: MakeDatabase) -> Iterator[Schema]:
    """The extension in a schema of its own, pgvector in `extensions`."""
    database = make_database([])
    with server.connect(database) as connection:
        yield install(connection, request.param)


def install(connection: Connection, name: str) -> Schema:
    """Create the extension in the schema `name`, leaving the session without a search_path."""
    connection.execute("SET search_path = ''")
    connection.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}".encode())
    connection.execute("CREATE SCHEMA extensions")
    connection.execute("CREATE EXTENSION vector SCHEMA extensions")
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    connection.execute(sql.SQL("CREATE EXTENSION gravity_memory SCHEMA {}").format(sql.Identifier(name)))
    return Schema(connection, name)


def test_tables_indexes_and_triggers_are_made_in_the_schema(schema: Schema) -> None:
    found = schema.run(
        "SELECT n.nspname, c.relkind, pg_catalog.count(*) FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'i') AND n.nspname !~ '^pg_|^information_schema$' GROUP BY 1, 2 ORDER BY 2"
    )
    assert [(name, kind) for name, kind, _ in found] == [(schema.name, "i"), (schema.name, "r")]
    missing = schema.run("SELECT index_name FROM @._gravity_memory_missing_indexes()")
    assert missing == []
    tables = schema.run("SELECT pg_catalog.count(*) FROM @._gravity_memory_table_catalogue()")
    assert found[1][2] == tables[0][0]


def test_memories_are_tagged_and_make_arcs(schema: Schema) -> None:
    schema.remember(times=3)
    assert schema.run("SELECT DISTINCT meta_tags, identity_anchor, temporal_type FROM @.gravity_map") == [
        (["high_gravity", "identity"], True, "future")
    ]
    assert schema.run("SELECT arc_name, memory_count, evolution_stage FROM @.memory_arcs") == [
        ("joy arc (auto-created)", 3, "forming")
    ]


def test_updates_and_deletes_are_followed(schema: Schema) -> None:
    schema.remember(times=4)
    schema.run("UPDATE @.gravity_map SET gravity_score = 0.1 WHERE id = (SELECT id FROM @.gravity_map LIMIT 1)")
    assert schema.run("SELECT memory_count FROM @.memory_arcs") == [(3,)]
    schema.run("DELETE FROM @.gravity_map WHERE gravity_score > 0.5")
    assert schema.run("SELECT * FROM @.memory_arcs") == []


def searches(vector_schema: str = "extensions") -> dict[str, str]:
    """One call of every function that finds memories; each finds those that Schema.remember() writes."""
    vector = f"pg_catalog.array_fill(0.25, ARRAY[{DIMENSIONS}])::{vector_schema}.vector"
    return {
        "pgvector's operator": "SELECT id FROM @.gravity_map"
        f" ORDER BY embedding OPERATOR({vector_schema}.<=>) {vector}",
        "match_memories": f"SELECT id FROM @.match_memories({vector}, 0.9, 9, 'user')",
        "gravity_weighted_search": f"SELECT id FROM @.gravity_weighted_search({vector}, 'user')",
        "find_similar_memories": "SELECT DISTINCT s.id FROM @.gravity_map AS m, @.find_similar_memories(m.id) AS s",
        "gravity_memory_search_all": f"SELECT id FROM @.gravity_memory_search_all({vector}, 0.9, 9)",
        "recall_memories": f"SELECT id FROM @.recall_memories('user', 'meet', {vector})",
        "gravity_memory_explain_recall": (
            "SELECT e.memory_id FROM @.gravity_map AS m,"
            f" @.gravity_memory_explain_recall('user', 'meet', {vector}, p_memory_id => m.id) AS e"
            " WHERE e.verdict OPERATOR(pg_catalog.=) 'answered' AND e.similarity > 0.9 AND e.bm25 > 0"
        ),
    }


def assert_all_are_found(schema: Schema, vector_schema: str = "extensions") -> None:
    """Every search finds every memory, and the derived tables are what recall relies on."""
    memories = sorted(schema.run("SELECT id FROM @.gravity_map"), key=str)
    assert len(memories) > 1
    for name, search in searches(vector_schema).items():
        assert sorted(schema.run(search), key=str) == memories, name
    assert sorted(schema.run("SELECT memory_id FROM @.memory_digests"), key=str) == memories
    (signed,) = schema.run(
        "SELECT memory_ids"
        " FROM @._gravity_memory_nearest_signatures('user', pg_catalog.repeat('1', %s)::bit varying, 9)",
        (DIMENSIONS,),
    )
    assert signed[0] is not None


def test_memories_are_found_by_every_search(schema: Schema) -> None:
    schema.remember(times=2)
    assert_all_are_found(schema)


def test_memories_are_found_after_their_derived_rows_were_made_anew(schema: Schema) -> None:
    schema.remember(times=2)
    schema.run("DELETE FROM @.memory_digests")
    schema.run("CALL @.gravity_memory_rebuild_recall(p_everything => true)")
    assert_all_are_found(schema)


def test_searches_and_writes_go_on_after_pgvector_moved_and_setup_ran(schema: Schema) -> None:
    schema.remember()
    schema.run("ALTER EXTENSION vector SET SCHEMA public")
    schema.run('CREATE SCHEMA "Vector ""schema"" % 2"')
    schema.run('ALTER EXTENSION vector SET SCHEMA "Vector ""schema"" % 2"')
    done = schema.run("SELECT action FROM @.gravity_memory_setup()")
    assert set(done) == {("bind function",)}
    assert schema.run("SELECT action FROM @.gravity_memory_setup()") == []
    complaints: list[str | None] = []
    schema.connection.add_notice_handler(lambda diagnostic: complaints.append(diagnostic.message_primary))
    schema.run(
        "INSERT INTO @.gravity_map (user_id, content, embedding) SELECT user_id, content, embedding FROM @.gravity_map"
    )
    assert complaints == []
    assert_all_are_found(schema, '"Vector ""schema"" % 2"')
    schema.run("CALL @.gravity_memory_rebuild_recall(p_everything => true)")
    assert_all_are_found(schema, '"Vector ""schema"" % 2"')


def test_settings_are_changed_listed_and_reset(schema: Schema) -> None:
    assert schema.run("SELECT @.gravity_memory_set('high_gravity_threshold', '0.95')") == [("0.95",)]
    schema.remember()
    assert schema.run("SELECT meta_tags FROM @.gravity_map") == [(["identity"],)]
    listed = "SELECT value FROM @.gravity_memory_settings() WHERE name = 'high_gravity_threshold'"
    assert schema.run(listed) == [("0.95",)]
    assert schema.run("SELECT @.gravity_memory_reset('high_gravity_threshold')") == [("0.85",)]
    assert schema.run(listed) == [("0.85",)]


def test_lost_indexes_are_built_concurrently(schema: Schema) -> None:
    schema.remember()
    # Those on embedding are not built before there are memories enough to train them on.
    assert schema.run("SELECT @.gravity_memory_index_ddl()") == []
    schema.run("SELECT @.gravity_memory_set('embedding_index_min_rows', '1')")
    for (statement,) in schema.run("SELECT @.gravity_memory_index_ddl()"):
        schema.connection.execute(str(statement).encode())
    names = [name for (name,) in schema.run("SELECT index_name FROM @.gravity_memory_index_catalogue()")]
    for name in names:
        schema.run(f'DROP INDEX @."{name}"')
    statements = [statement for (statement,) in schema.run("SELECT @.gravity_memory_index_ddl()")]
    assert len(statements) == len(names)
    assert all("CONCURRENTLY" in str(statement) for statement in statements)
    for statement in statements:
        schema.connection.execute(str(statement).encode())
    assert schema.run("SELECT @.gravity_memory_index_ddl()") == []


def test_setup_finds_nothing_to_do_a_second_time_and_mends_what_is_lost(schema: Schema) -> None:
    assert schema.run("SELECT * FROM @.gravity_memory_setup()") == []
    schema.run("DROP TRIGGER trigger_notify_memory_created ON @.gravity_map")
    schema.run("DROP TABLE @.pattern_matrix")
    done = schema.run("SELECT * FROM @.gravity_memory_setup()")
    assert ("create trigger", "trigger_notify_memory_created") in done
    assert ("create table", "pattern_matrix") in done


def test_arcs_are_rebuilt_and_evolve(schema: Schema) -> None:
    schema.remember(times=5)
    schema.run("DELETE FROM @.memory_arcs")
    assert schema.run("SELECT @.gravity_memory_rebuild_arcs('user')") == [(1,)]
    assert schema.run("SELECT @.gravity_memory_evolve_arcs()") == [(1,)]
    assert schema.run("SELECT evolution_stage, memory_count FROM @.memory_arcs") == [("active", 5)]


def test_expired_cache_entries_are_deleted(schema: Schema) -> None:
    schema.run(
        "INSERT INTO @.consciousness_cache (user_id, created_at)"
        " VALUES ('user', pg_catalog.now() - interval '25 hours'), ('user', pg_catalog.now())"
    )
    assert schema.run("SELECT @.cleanup_old_cache()") == [(1,)]
    assert schema.run("SELECT pg_catalog.count(*) FROM @.consciousness_cache") == [(1,)]


def test_it_is_taken_down_and_dropped_without_losing_a_memory(schema: Schema) -> None:
    schema.remember(times=3)
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        schema.run("DROP EXTENSION gravity_memory")
    assert len(schema.run("SELECT * FROM @.gravity_memory_teardown()")) >= 3
    assert schema.run("SELECT * FROM @.gravity_memory_teardown()") == []
    schema.run("DROP EXTENSION gravity_memory")
    assert schema.run("SELECT pg_catalog.count(*) FROM @.gravity_map") == [(3,)]
    assert schema.run("SELECT pg_catalog.count(*) FROM @.memory_arc_associations") == [(3,)]
    left = schema.run(
        "SELECT p.proname FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace"
        " WHERE n.nspname = %s",
        (schema.name,),
    )
    assert left == []
    schema.run("CREATE EXTENSION gravity_memory SCHEMA @")
    schema.remember()
    assert schema.run("SELECT memory_count FROM @.memory_arcs") == [(4,)]


def test_two_databases_with_different_schemas_do_not_know_each_other(
    server: Server, make_database: MakeDatabase
) -> None:
    with server.connect(make_database([])) as first, server.connect(make_database([])) as second:
        one, other = install(first, "one"), install(second, "other")
        one.remember(times=3)
        assert other.run("SELECT * FROM @.memory_arcs") == []


# What a hostile or careless user can leave where an unqualified name would find it. Every one of these raises an error.
_TRAP = "RETURNS {} LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped by {}'; END $$"

_TRAPPED_FUNCTIONS = {
    "now()": "timestamptz",
    "count(bigint)": "bigint",
    "lower(text)": "text",
    "btrim(text)": "text",
    "strpos(text, text)": "integer",
    "octet_length(text)": "integer",
    "array_append(text[], text)": "text[]",
    "array_length(uuid[], integer)": "integer",
    "cardinality(uuid[])": "integer",
    "array_to_string(text[], text)": "text",
    "json_build_object(VARIADIC text[])": "json",
    "jsonb_build_object(VARIADIC text[])": "jsonb",
    "current_setting(text, boolean)": "text",
    "set_config(text, text, boolean)": "text",
    "pg_notify(text, text)": "void",
    "pg_trigger_depth()": "integer",
    "pg_notification_queue_usage()": "double precision",
    "to_regclass(text)": "regclass",
    "format(text, text)": "text",
    "gen_random_uuid()": "uuid",
    "pg_advisory_xact_lock(bigint)": "void",
    "auto_tag_high_gravity()": "trigger",
    "trigger_arc_building()": "trigger",
    "notify_memory_created()": "trigger",
    "notify_arc_created()": "trigger",
    "cleanup_old_cache()": "bigint",
    "gravity_memory_settings()": "text",
    "gravity_memory_set(text, text)": "text",
    "_gravity_memory_effective_settings()": "jsonb",
    "_gravity_memory_default_settings()": "jsonb",
    "_gravity_memory_examine_cluster(text, text, uuid[], timestamptz[])": "void",
    "_gravity_memory_may_notify(jsonb, text)": "boolean",
    "_gravity_memory_notify(text, json)": "void",
    "acos(double precision)": "double precision",
    "clock_timestamp()": "timestamptz",
    "date_part(text, timestamp)": "double precision",
    "has_column_privilege(name, oid, text, text)": "boolean",
    "hashtextextended(text, bigint)": "bigint",
    "isfinite(timestamp)": "boolean",
    "pg_has_role(oid, oid, text)": "boolean",
    "quote_literal(text)": "text",
    "regexp_replace(text, text, text, text)": "text",
    "row_security_active(text)": "boolean",
    "to_tsvector(regconfig, text)": "tsvector",
    "unnest(uuid[])": "uuid",
    "match_memories(text, text)": "uuid",
    "recall_memories(text, text)": "uuid",
    "_gravity_memory_begin_rebuild(integer, text, boolean)": "bigint",
    "_gravity_memory_may_read_derived(text, text)": "boolean",
    "_gravity_memory_text_search_config()": "regconfig",
}

_TRAPPED_OPERATORS = [
    ("=", "text", "text", "boolean"),
    ("=", "uuid", "uuid", "boolean"),
    ("=", "bigint", "bigint", "boolean"),
    ("<>", "text", "text", "boolean"),
    (">=", "double precision", "double precision", "boolean"),
    ("<", "timestamptz", "timestamptz", "boolean"),
    ("<", "double precision", "double precision", "boolean"),
    (">", "interval", "interval", "boolean"),
    ("+", "bigint", "integer", "bigint"),
    ("*", "double precision", "double precision", "double precision"),
    ("-", "timestamptz", "interval", "timestamptz"),
    ("-", "timestamptz", "timestamptz", "interval"),
    ("@>", "text[]", "text[]", "boolean"),
    ("&&", "text[]", "text[]", "boolean"),
    ("~", "text", "text", "boolean"),
    ("~*", "text", "text", "boolean"),
    ("||", "text", "text", "text"),
    ("||", "uuid[]", "uuid[]", "uuid[]"),
    ("->>", "jsonb", "text", "text"),
    ("->", "jsonb", "text", "jsonb"),
]

_TRAPPED_TABLES = (
    "gravity_map",
    "memory_arcs",
    "memory_arc_associations",
    "memory_arc_locks",
    "consciousness_cache",
    "gravity_memory_settings",
    "memory_digests",
    "memory_postings",
    "memory_recall_gaps",
    "memory_events",
    "new_rows",
    "old_rows",
    "pg_class",
    "pg_trigger",
    "pg_extension",
)


@pytest.fixture(params=["before it is installed", "afterwards"])
def trapped(request: pytest.FixtureRequest, server: Server, make_database: MakeDatabase) -> Iterator[Schema]:
    """The extension in `memory`, and traps in pg_temp and public, which the session searches before everything else."""
    database = make_database([])
    with server.connect(database) as connection:
        if request.param == "afterwards":
            schema = install(connection, "memory")
            lay_traps(connection)
        else:
            lay_traps(connection)
            schema = install(connection, "memory")
        connection.execute("SET search_path = pg_temp, public, pg_catalog")
        yield schema


def lay_traps(connection: Connection) -> None:
    """Plant functions, operators, tables and a type that break whatever uses them."""
    for place in ("public", "pg_temp"):
        for signature, result in _TRAPPED_FUNCTIONS.items():
            connection.execute(f"CREATE FUNCTION {place}.{signature} {_TRAP.format(result, signature)}".encode())
    for name, left, right, result in _TRAPPED_OPERATORS:
        function = f'public."trap {name}"'
        connection.execute(f"CREATE FUNCTION {function}({left}, {right}) {_TRAP.format(result, name)}".encode())
        connection.execute(
            f"CREATE OPERATOR public.{name} (FUNCTION = {function}, LEFTARG = {left}, RIGHTARG = {right})".encode()
        )
    for table in _TRAPPED_TABLES:
        connection.execute(f"CREATE TEMPORARY TABLE {table} (trap integer)".encode())
        if not table.startswith("pg_"):
            connection.execute(f"CREATE TABLE public.{table} (trap integer)".encode())
    for place in ("public", "pg_temp"):
        connection.execute(f"CREATE DOMAIN {place}.vector AS text CHECK (false)".encode())


def test_the_traps_are_set(trapped: Schema) -> None:
    # Without this the tests below could pass because nothing was planted.
    with pytest.raises(psycopg.errors.RaiseException, match="trapped by"):
        trapped.connection.execute("SELECT public.now()")
    with pytest.raises(psycopg.errors.RaiseException, match="trapped by"):
        trapped.connection.execute("SELECT 'a'::text = 'b'::text")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        trapped.connection.execute("SELECT user_id FROM gravity_map")


def test_hostile_objects_on_the_search_path_change_nothing(trapped: Schema) -> None:
    complaints: list[str | None] = []
    trapped.connection.add_notice_handler(lambda diagnostic: complaints.append(diagnostic.message_primary))
    trapped.remember(times=4)
    trapped.run("UPDATE @.gravity_map SET gravity_score = 0.1 WHERE ctid OPERATOR(pg_catalog.=) '(0,1)'")
    trapped.run("INSERT INTO @.consciousness_cache (user_id, created_at) VALUES ('user', '2020-01-01')")
    assert trapped.run("SELECT @.cleanup_old_cache()") == [(1,)]
    assert trapped.run("SELECT @.gravity_memory_set('notify', 'off')") == [("off",)]
    assert trapped.run("SELECT @.gravity_memory_reset('notify')") == [("payload",)]
    assert trapped.run("SELECT @.gravity_memory_rebuild_arcs('user')") == [(1,)]
    assert trapped.run("SELECT @.gravity_memory_evolve_arcs()") == [(0,)]
    trapped.run("DELETE FROM @.memory_postings")
    trapped.run("CALL @.gravity_memory_rebuild_recall(p_everything => true)")
    trapped.connection.execute("SET search_path = pg_catalog")
    memories = sorted(trapped.run("SELECT id FROM @.gravity_map"))
    for name, search in searches().items():
        trapped.connection.execute("SET search_path = pg_temp, public, pg_catalog")
        found = trapped.run(search.replace(" > ", " OPERATOR(pg_catalog.>) "))
        trapped.connection.execute("SET search_path = pg_catalog")
        assert sorted(found) == memories, name
    trapped.connection.execute("SET search_path = pg_temp, public, pg_catalog")
    assert trapped.run("SELECT @.gravity_memory_index_ddl()") == []
    assert trapped.run("SELECT action FROM @.gravity_memory_setup()") == []
    assert trapped.run("SELECT meta_tags, temporal_type FROM @.gravity_map WHERE identity_anchor LIMIT 1") == [
        (["high_gravity", "identity"], "future")
    ]
    assert trapped.run("SELECT arc_name, memory_count FROM @.memory_arcs") == [("joy arc (auto-created)", 3)]
    assert [
        line
        for line in complaints
        if line and "pg_cron" not in line and not line.startswith("gravity_memory: recall rebuilt")
    ] == []
    for table in _TRAPPED_TABLES:
        if not table.startswith("pg_"):
            assert trapped.connection.execute(f"SELECT 1 FROM public.{table}".encode()).fetchall() == []
    assert len(trapped.run("SELECT action FROM @.gravity_memory_teardown()")) >= 3
