"""Who may do what: database owners who are no superusers install it, and writers need SELECT and INSERT only."""

from __future__ import annotations

import json

import psycopg
import pytest
from psycopg import sql

from devtools.fixtures import Connection, MakeDatabase, MakeRole
from devtools.servers import Server

TABLES = [
    "active_sessions",
    "consciousness_cache",
    "gravity_map",
    "gravity_memory_settings",
    "memory_arc_associations",
    "memory_arc_locks",
    "memory_arcs",
    "memory_digests",
    "memory_events",
    "memory_postings",
    "memory_recall_gaps",
    "pattern_matrix",
]

NOT_BUILT_YET = [("idx_gravity_map_embedding_cosine",), ("idx_gravity_map_embedding_l2",)]
"""The indexes that wait for rows to be trained on."""

ADMINISTRATION = [
    "SELECT cleanup_old_cache()",
    "SELECT gravity_memory_adoption_report()",
    "SELECT gravity_memory_cleanup_events()",
    "SELECT gravity_memory_disable_rls()",
    "SELECT gravity_memory_disable_realtime()",
    "SELECT gravity_memory_enable_realtime()",
    "SELECT gravity_memory_enable_rls()",
    "SELECT gravity_memory_evolve_arcs()",
    "SELECT gravity_memory_export_user('user')",
    "SELECT gravity_memory_forget_user('user')",
    "SELECT gravity_memory_import_user('user', '{}')",
    "SELECT gravity_memory_rebuild_arcs('user')",
    "CALL gravity_memory_rebuild_recall()",
    "SELECT gravity_memory_reset('notify')",
    "SELECT gravity_memory_schedule_jobs()",
    "SELECT gravity_memory_set('notify', 'off')",
    "SELECT gravity_memory_setup()",
    "SELECT gravity_memory_teardown()",
    "SELECT gravity_memory_train_vector_indexes()",
    "SELECT gravity_memory_unschedule_jobs()",
    "SELECT gravity_memory_vector_index_ddl()",
    "SELECT gravity_memory_verify_forgotten('user')",
]

SEARCHES = {
    "find_similar_memories",
    "get_conversation_context",
    "gravity_memory_explain_recall",
    "gravity_memory_search_all",
    "gravity_weighted_search",
    "match_memories",
    "recall_memories",
}
"""What everyone may call, and what reads the memories with the caller's own rights."""

MONITORING = {
    "gravity_memory_check",
    "gravity_memory_index_usage",
    "gravity_memory_slow_queries",
    "gravity_memory_stats",
}
"""What everyone may call, and what says no more than its caller may look up; see test_monitoring.py."""

FEED = {"gravity_memory_changes", "memory_changes_head", "memory_changes_since"}
"""What everyone may call, and what reads the events with the caller's own rights."""

GUARDED_READERS = {"_gravity_memory_matching_postings", "_gravity_memory_nearest_signatures"}
"""What reads the derived tables for callers who may read all memories anyway; see test_recall_roles.py."""

_MEMBERS = """
SELECT p.oid::regprocedure::text, p.prosecdef, p.prorettype = 'trigger'::regtype, pg_get_userbyid(p.proowner),
       has_function_privilege('public', p.oid, 'EXECUTE'), p.proname
FROM pg_proc AS p
JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
WHERE e.extname = 'gravity_memory'
ORDER BY 1
"""

_INSERT = """
INSERT INTO {} (user_id, content, gravity_score, emotion_type) VALUES ('user', 'I will remember', 0.9, 'joy')
RETURNING meta_tags, identity_anchor, temporal_type
"""


def table_owners(connection: Connection, schema: str) -> dict[str, str]:
    """Owner by table of ours."""
    rows = connection.execute(
        "SELECT relname, pg_get_userbyid(relowner) FROM pg_class"
        " WHERE relnamespace = %s::regnamespace AND relkind = 'r'",
        (sql.Identifier(schema).as_string(connection),),
    ).fetchall()
    return {name: owner for name, owner in rows if name in TABLES}


def assert_a_writer_gets_everything(
    server: Server, database: str, administrator: Connection, writer: str, schema: str = "public"
) -> None:
    """Three memories by `writer`, who may only SELECT and INSERT in gravity_map, are tagged, announced, make an arc."""
    table = sql.Identifier(schema, "gravity_map")
    administrator.execute(
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), sql.Identifier(writer))
    )
    administrator.execute(sql.SQL("GRANT SELECT, INSERT ON {} TO {}").format(table, sql.Identifier(writer)))
    complaints: list[str | None] = []
    with server.connect(database, user=writer) as connection, server.connect(database, user=writer) as listener:
        connection.execute("SET gravity_memory.user_id = 'user'")
        connection.add_notice_handler(lambda diagnostic: complaints.append(diagnostic.message_primary))
        listener.execute("LISTEN memory_created")
        listener.execute("LISTEN arc_created")
        for _ in range(3):
            row = connection.execute(sql.SQL(_INSERT).format(table)).fetchone()
            assert row == (["high_gravity"], True, "past")
        assert complaints == []
        heard = [json.loads(n.payload) | {"channel": n.channel} for n in listener.notifies(timeout=60, stop_after=4)]
    assert sorted(message["channel"] for message in heard) == ["arc_created", *["memory_created"] * 3]
    arc = administrator.execute(
        sql.SQL("SELECT user_id, arc_name, memory_count FROM {}").format(sql.Identifier(schema, "memory_arcs"))
    ).fetchall()
    assert arc == [("user", "joy arc (auto-created)", 3)]
    members = administrator.execute(
        sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, "memory_arc_associations"))
    ).fetchone()
    assert members == (3,)


@pytest.mark.parametrize("schema", ["public", "memory"])
def test_a_database_owner_who_is_no_superuser_installs_it(
    server: Server, make_role: MakeRole, make_database: MakeDatabase, schema: str
) -> None:
    owner, writer = make_role(), make_role()
    database = make_database(["vector"], owner=owner)
    with server.connect(database, user=owner) as connection:
        if schema != "public":
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        connection.execute(sql.SQL("CREATE EXTENSION gravity_memory SCHEMA {}").format(sql.Identifier(schema)))
        assert table_owners(connection, schema) == dict.fromkeys(TABLES, owner)
        without_index = connection.execute(
            sql.SQL(
                "SELECT index_name FROM {}() AS c WHERE NOT EXISTS (SELECT FROM pg_class AS i"
                " WHERE i.relname = c.index_name AND pg_get_userbyid(i.relowner) = current_user) ORDER BY 1"
            ).format(sql.Identifier(schema, "gravity_memory_index_catalogue"))
        ).fetchall()
        assert without_index == NOT_BUILT_YET
        triggers = connection.execute(
            "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'"
        ).fetchone()
        assert triggers is not None
        assert triggers[0] >= 3
        assert {row[3] for row in connection.execute(_MEMBERS).fetchall()} == {owner}
        assert_a_writer_gets_everything(server, database, connection, writer, schema)


def test_cascade_installs_pgvector_too(server: Server, make_database: MakeDatabase) -> None:
    database = make_database([])
    with server.connect(database) as connection:
        connection.execute("CREATE EXTENSION gravity_memory CASCADE")
        found = connection.execute("SELECT extname FROM pg_extension ORDER BY extname").fetchall()
        assert found == [("gravity_memory",), ("plpgsql",), ("vector",)]
        assert set(table_owners(connection, "public")) == set(TABLES)


def test_a_writer_with_select_and_insert_gets_tags_arcs_and_notifications(
    server: Server, db: Connection, make_role: MakeRole
) -> None:
    assert_a_writer_gets_everything(server, db.info.dbname, db, make_role())


@pytest.mark.parametrize("call", ADMINISTRATION)
def test_a_writer_cannot_administer(server: Server, db: Connection, make_role: MakeRole, call: str) -> None:
    writer = make_role()
    db.execute(sql.SQL("GRANT SELECT, INSERT ON gravity_map TO {}").format(sql.Identifier(writer)))
    with (
        server.connect(db.info.dbname, user=writer) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(call.encode())


def test_what_everyone_may_call_changes_nothing(db: Connection) -> None:
    public = {
        name
        for signature, is_definer, is_trigger, owner, is_public, name in db.execute(_MEMBERS).fetchall()
        if is_public and not is_trigger and not name.startswith("_")
    }
    assert public == {
        "gravity_memory_settings",
        "gravity_memory_index_catalogue",
        "gravity_memory_index_ddl",
        "gravity_memory_current_user_id",
        *SEARCHES,
        *MONITORING,
        *FEED,
    }
    volatile = db.execute(
        "SELECT proname FROM pg_proc WHERE proname = ANY (%s) AND provolatile = 'v'", (sorted(public),)
    ).fetchall()
    assert volatile == []


def test_no_function_lends_its_owners_rights_to_everyone_but_two_that_look_who_asks(db: Connection) -> None:
    lent = {
        name
        for signature, is_definer, is_trigger, owner, is_public, name in db.execute(_MEMBERS).fetchall()
        if is_definer and is_public
    }
    assert lent == GUARDED_READERS
    volatile = db.execute(
        "SELECT proname FROM pg_proc WHERE proname = ANY (%s) AND provolatile = 'v'", (sorted(lent),)
    ).fetchall()
    assert volatile == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO memory_arcs (user_id, arc_name) VALUES ('user', 'mine')",
        "UPDATE memory_arcs SET memory_count = 0",
        "DELETE FROM memory_arcs",
        "INSERT INTO memory_arc_associations (memory_id, arc_id) SELECT g.id, gen_random_uuid() FROM gravity_map AS g",
        "DELETE FROM memory_arc_associations",
        "DELETE FROM memory_arc_locks",
        "INSERT INTO gravity_memory_settings VALUES ('notify', 'off')",
        "UPDATE gravity_memory_settings SET value = 'off'",
        "DELETE FROM gravity_memory_settings",
        "UPDATE gravity_map SET gravity_score = 1",
        "DELETE FROM gravity_map",
        "TRUNCATE gravity_map",
        "ALTER TABLE gravity_map DISABLE TRIGGER USER",
    ],
)
def test_a_writer_cannot_change_arcs_settings_or_others_memories(
    server: Server, db: Connection, make_role: MakeRole, statement: str
) -> None:
    writer = make_role()
    db.execute(sql.SQL("GRANT SELECT, INSERT ON gravity_map TO {}").format(sql.Identifier(writer)))
    with (
        server.connect(db.info.dbname, user=writer) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_a_writer_cannot_attach_our_privileged_triggers_to_a_table_of_its_own(
    server: Server, db: Connection, make_role: MakeRole
) -> None:
    writer = make_role()
    db.execute(sql.SQL("CREATE SCHEMA own AUTHORIZATION {}").format(sql.Identifier(writer)))
    privileged = [row[0] for row in db.execute(_MEMBERS).fetchall() if row[1] and row[2]]
    assert len(privileged) >= 2
    with server.connect(db.info.dbname, user=writer) as connection:
        connection.execute("CREATE TABLE own.mine (id uuid, user_id text, gravity_score float8, emotion_type text)")
        for function in privileged:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(
                    b"CREATE TRIGGER borrowed AFTER INSERT ON own.mine REFERENCING NEW TABLE AS new_rows"
                    b" FOR EACH STATEMENT EXECUTE FUNCTION " + function.encode()
                )


def test_a_writer_cannot_redirect_the_privileged_functions_by_its_own_settings(
    server: Server, db: Connection, make_role: MakeRole
) -> None:
    # The totals that wait for the commit are noted in a parameter that every session can write.
    writer = make_role()
    db.execute(sql.SQL("GRANT SELECT, INSERT ON gravity_map TO {}").format(sql.Identifier(writer)))
    db.execute("INSERT INTO memory_arcs (user_id, arc_name, memory_count) VALUES ('other', 'by hand', 0)")
    row = db.execute("SELECT id, xmin::text FROM memory_arcs").fetchone()
    assert row is not None
    hostile = ['{"waiting": {"not a uuid": 1}}', "no json", f'{{"writes": -5, "waiting": {{"{row[0]}": 99}}}}', "[]"]
    with server.connect(db.info.dbname, user=writer) as connection:
        connection.execute("SET gravity_memory.user_id = 'user'")
        for value in hostile:
            connection.execute("SELECT set_config('gravity_memory.arc_totals', %s, false)", (value,))
            for _ in range(3):
                connection.execute(sql.SQL(_INSERT).format(sql.Identifier("gravity_map")))
    assert db.execute("SELECT count(*) FROM gravity_map").fetchone() == (12,)
    # Whatever the parameter said, totals are those of the members.
    wrong = db.execute(
        "SELECT a.arc_name, a.memory_count FROM memory_arcs AS a WHERE a.memory_count IS DISTINCT FROM"
        " (SELECT count(*) FROM memory_arc_associations AS l WHERE l.arc_id = a.id)"
    ).fetchall()
    assert wrong == []


def test_privileged_functions_belong_to_the_owner_of_adopted_tables(
    server: Server, make_role: MakeRole, make_database: MakeDatabase
) -> None:
    owner, writer = make_role(), make_role()
    database = make_database(["vector"], owner=owner)
    with server.connect(database, user=owner) as connection:
        connection.execute(
            "CREATE TABLE gravity_map (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text NOT NULL)"
        )
    with server.connect(database) as administrator:
        administrator.execute("CREATE EXTENSION gravity_memory")
        definers = {row[3] for row in administrator.execute(_MEMBERS).fetchall() if row[1]}
        assert definers == {owner}
        assert_a_writer_gets_everything(server, database, administrator, writer)


def test_privileged_functions_follow_the_tables_to_a_new_owner(
    server: Server, db: Connection, make_role: MakeRole
) -> None:
    owner, writer = make_role(), make_role()
    for table in TABLES:
        db.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(table), sql.Identifier(owner)))
    db.execute("SELECT * FROM gravity_memory_setup()")
    assert {row[3] for row in db.execute(_MEMBERS).fetchall() if row[1]} == {owner}
    assert_a_writer_gets_everything(server, db.info.dbname, db, writer)
