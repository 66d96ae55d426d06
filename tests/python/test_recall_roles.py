"""Recall shows nobody a memory that they could not read in gravity_map themselves.

Derived rows tell about memories, and neither privileges on gravity_map nor its policies reach them. So the functions
that read them decide who is answered from them, and these tests try to get round that decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from devtools.fixtures import Connection, MakeDatabase, MakeRole
from devtools.servers import Server

DIMENSIONS = 64
VECTOR = "(SELECT array_agg(sin({}))::vector FROM generate_series(1, 64) AS d)"
"""An expression for an embedding that depends on what the placeholder computes from d."""

QUESTION = VECTOR.format("d * 3")

SEARCHES = {
    "match_memories": f"SELECT id FROM match_memories({QUESTION}, -1, 1000, %(user)s)",
    "gravity_weighted_search": f"SELECT id FROM gravity_weighted_search({QUESTION}, %(user)s, -1, 0.3, 1000)",
    "recall by both": f"SELECT id FROM recall_memories(%(user)s, 'garden of the sister', {QUESTION}, 1000)",
    "recall by words": "SELECT id FROM recall_memories(%(user)s, 'garden of the sister', p_limit => 1000)",
    "recall with a filter": "SELECT id FROM recall_memories(%(user)s, 'garden', p_limit => 1000, p_min_gravity => 0)",
    "get_conversation_context": "SELECT id FROM get_conversation_context(%(user)s, 'trace', 1000)",
    "nearest": f"SELECT memory_id FROM _gravity_memory_nearest(%(user)s, {QUESTION}, -1, 0, 1000)",
    "similar memories": "SELECT unnest(memory_ids) FROM _gravity_memory_similar_memories("
    f"%(user)s, {QUESTION}, 1000, NULL, '{{}}')",
    "lexical candidates": "SELECT memory_id FROM _gravity_memory_lexical_candidates("
    "%(user)s, 'garden', 1000, NULL, '{}')",
    "signatures": "SELECT unnest(memory_ids) FROM _gravity_memory_nearest_signatures("
    f"%(user)s, binary_quantize({QUESTION}), 1000)",
    "postings": "SELECT DISTINCT unnest(memory_ids) FROM _gravity_memory_matching_postings("
    "%(user)s, 'garden', 1000, NULL)",
}
"""Everything that answers with memories of a user, the helpers that everybody may call included."""

ANSWERED_FROM_DERIVED_ROWS = {"signatures", "postings"}
"""What answers nothing to a caller who may not be answered from derived rows."""

POLICY = "CREATE POLICY own ON gravity_map USING (user_id = current_setting('app.user_id', true))"


@pytest.fixture
def memories(server: Server, make_database: MakeDatabase) -> Iterator[Connection]:
    """A database with 30 memories each of ana and ben, as its superuser."""
    database = make_database(["vector"])
    with server.connect(database) as connection:
        connection.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}")
        connection.execute("CREATE EXTENSION gravity_memory")
        # The policies here are the application's own; those of gravity_memory are in test_row_security.py.
        connection.execute("SELECT count(*) FROM gravity_memory_disable_rls()")
        connection.execute(
            "INSERT INTO gravity_map (user_id, memory_trace_id, session_id, content, embedding) "
            f"SELECT u, 'trace', 's', 'the garden of my sister ' || i, {VECTOR.format('d * i')} "
            "FROM unnest('{ana,ben}'::text[]) AS u, generate_series(1, 30) AS i"
        )
        yield connection


def found(connection: Connection, user: str) -> dict[str, set[Any]]:
    """Ids by search, for one user."""
    answers = {}
    for name, query in SEARCHES.items():
        rows = connection.execute(query.encode(), {"user": user}).fetchall()
        answers[name] = {row[0] for row in rows if row[0] is not None}
    return answers


def memories_of(connection: Connection, user: str) -> set[Any]:
    """The ids of a user's memories in gravity_map."""
    return {row[0] for row in connection.execute("SELECT id FROM gravity_map WHERE user_id = %s", (user,))}


def grant(connection: Connection, role: str, privileges: str) -> None:
    """Give `role` these privileges on gravity_map."""
    connection.execute(sql.SQL("GRANT {} ON gravity_map TO {}").format(sql.SQL(privileges), sql.Identifier(role)))


def test_who_may_read_and_write_memories_gets_what_the_owner_gets(
    server: Server, memories: Connection, make_role: MakeRole
) -> None:
    writer = make_role()
    grant(memories, writer, "SELECT, INSERT")
    with server.connect(memories.info.dbname, user=writer) as connection:
        connection.execute("INSERT INTO gravity_map (user_id, content) VALUES ('ana', 'a garden in the rain')")
        answers = found(connection, "ana")
    assert answers == found(memories, "ana")
    assert len(answers["signatures"]) == 30
    assert len(answers["postings"]) == 31


@contextmanager
def set_role(connection: Connection, name: str) -> Iterator[None]:
    """Run what follows as a role of this name, which is made for it and dropped afterwards."""
    role = sql.Identifier(name)
    connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    try:
        connection.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(role))
        connection.execute(
            sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(connection.info.dbname), role)
        )
        connection.execute(sql.SQL("SET ROLE {}").format(role))
        yield
    finally:
        connection.execute("RESET ROLE")
        connection.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(role))


def test_a_role_whose_name_needs_quotes_is_answered_from_derived_rows(memories: Connection) -> None:
    name = 'Ana "B" Müller'
    with set_role(memories, name):
        memories.execute("RESET ROLE")
        grant(memories, name, "SELECT")
        expected = found(memories, "ben")
        memories.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(name)))
        assert found(memories, "ben") == expected
        assert len(expected["signatures"]) == 30


def test_an_owner_whose_name_needs_quotes_gets_derived_rows(server: Server, make_database: MakeDatabase) -> None:
    with server.connect(make_database(["vector"])) as connection, set_role(connection, 'Ben "C" Özil'):
        connection.execute("CREATE EXTENSION gravity_memory")
        connection.execute("INSERT INTO gravity_map (user_id, content) VALUES ('ana', 'the garden')")
        assert len(connection.execute("SELECT id FROM recall_memories('ana', 'gardens')").fetchall()) == 1
        derived = connection.execute(
            "SELECT cardinality(memory_ids) FROM _gravity_memory_matching_postings('ana', 'garden', 10, NULL)"
        ).fetchone()
        assert derived == (1,)


def test_who_may_not_read_memories_gets_an_error_and_no_rows(
    server: Server, memories: Connection, make_role: MakeRole
) -> None:
    stranger = make_role()
    grant(memories, stranger, "INSERT")
    with server.connect(memories.info.dbname, user=stranger) as connection:
        for name, query in SEARCHES.items():
            if name in ANSWERED_FROM_DERIVED_ROWS:
                assert {row[0] for row in connection.execute(query.encode(), {"user": "ana"})} <= {None}, name
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(query.encode(), {"user": "ana"})


def test_nobody_but_the_owner_reads_or_writes_derived_tables(
    server: Server, memories: Connection, make_role: MakeRole
) -> None:
    writer = make_role()
    grant(memories, writer, "SELECT, INSERT, UPDATE, DELETE")
    with server.connect(memories.info.dbname, user=writer) as connection:
        for table in ("memory_digests", "memory_postings", "memory_recall_gaps"):
            for statement in ("SELECT * FROM {}", "DELETE FROM {}", "TRUNCATE {}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(sql.SQL(statement).format(sql.Identifier(table)))


def test_a_column_that_is_not_granted_tells_nothing_through_derived_rows(
    server: Server, memories: Connection, make_role: MakeRole
) -> None:
    reader = make_role()
    grant(memories, reader, "SELECT (id, user_id, created_at)")
    with server.connect(memories.info.dbname, user=reader) as connection:
        for name in ANSWERED_FROM_DERIVED_ROWS:
            rows = connection.execute(SEARCHES[name].encode(), {"user": "ana"}).fetchall()
            assert {row[0] for row in rows} <= {None}, name


@pytest.mark.parametrize("way_in", ["login", "set role", "security definer"])
def test_row_security_hides_other_users_from_every_search(
    server: Server, memories: Connection, make_role: MakeRole, way_in: str
) -> None:
    application = make_role()
    grant(memories, application, "SELECT, INSERT")
    memories.execute("ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY")
    memories.execute(POLICY)
    own = memories_of(memories, "ana")
    login = application
    if way_in == "set role":
        login = make_role()
        memories.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(application), sql.Identifier(login)))
    with server.connect(memories.info.dbname, user=login) as connection:
        if way_in == "set role":
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(application)))
        connection.execute("SET app.user_id = 'ana'")
        if way_in == "security definer":
            memories.execute(
                "CREATE FUNCTION wrapped(p_user text) RETURNS SETOF uuid LANGUAGE sql SECURITY DEFINER"
                " SET search_path = public, pg_temp"
                " AS $$ SELECT id FROM recall_memories(p_user, 'garden', p_limit => 1000) $$"
            )
            memories.execute(sql.SQL("ALTER FUNCTION wrapped OWNER TO {}").format(sql.Identifier(application)))
            assert {row[0] for row in connection.execute("SELECT wrapped('ben')")} == set()
            assert {row[0] for row in connection.execute("SELECT wrapped('ana')")} == own
            return
        for name, ids in found(connection, "ben").items():
            assert ids == set(), name
        for name, ids in found(connection, "ana").items():
            assert ids == (set() if name in ANSWERED_FROM_DERIVED_ROWS else own), name


def test_row_security_hides_other_users_from_searches_that_name_a_memory_or_no_user(
    server: Server, memories: Connection, make_role: MakeRole
) -> None:
    application = make_role()
    grant(memories, application, "SELECT")
    memories.execute("ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY")
    memories.execute(POLICY)
    own, others = memories_of(memories, "ana"), memories_of(memories, "ben")
    with server.connect(memories.info.dbname, user=application) as connection:
        connection.execute("SET app.user_id = 'ana'")
        everyone = connection.execute(f"SELECT id FROM gravity_memory_search_all({QUESTION}, -1, 1000)".encode())
        assert {row[0] for row in everyone} == own
        with pytest.raises(psycopg.errors.NoDataFound):
            connection.execute("SELECT * FROM find_similar_memories(%s, -1, 100)", (min(others),))
        similar = connection.execute("SELECT id FROM find_similar_memories(%s, -1, 100)", (min(own),))
        assert {row[0] for row in similar} == own - {min(own)}
        explained = connection.execute(
            "SELECT verdict, similarity, bm25 FROM gravity_memory_explain_recall('ben', 'garden', p_memory_id => %s)",
            (min(others),),
        ).fetchone()
        assert explained == ("unknown", None, None)


def test_a_policy_that_hides_some_of_a_users_own_memories_hides_them_from_recall(
    server: Server, memories: Connection, make_role: MakeRole
) -> None:
    application = make_role()
    grant(memories, application, "SELECT")
    memories.execute("UPDATE gravity_map SET content = 'the secret garden' WHERE content LIKE '% 7'")
    memories.execute("ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY")
    memories.execute("CREATE POLICY open ON gravity_map USING (content NOT LIKE '%secret%')")
    with server.connect(memories.info.dbname, user=application) as connection:
        assert connection.execute("SELECT id FROM recall_memories('ana', 'secret')").fetchall() == []
        assert all(len(ids) in (0, 29) for ids in found(connection, "ana").values())


def test_row_security_forced_on_the_owner_leaves_nothing_out(
    server: Server, memories: Connection, make_role: MakeRole
) -> None:
    """What the owner may not see when it derives must not be missing where somebody may see it."""
    owner = make_role()
    memories.execute(sql.SQL("GRANT CREATE, USAGE ON SCHEMA public TO {}").format(sql.Identifier(owner)))
    memories.execute(sql.SQL("ALTER TABLE gravity_map OWNER TO {}").format(sql.Identifier(owner)))
    for table in ("memory_digests", "memory_postings", "memory_recall_gaps", "gravity_memory_settings"):
        memories.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(table), sql.Identifier(owner)))
    memories.execute("SELECT gravity_memory_setup()")
    memories.execute("ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    memories.execute("CREATE POLICY none ON gravity_map FOR SELECT USING (false)")
    memories.execute("CREATE POLICY every ON gravity_map FOR INSERT WITH CHECK (true)")
    memories.execute("INSERT INTO gravity_map (user_id, content) VALUES ('ana', 'a hidden garden')")
    rows = memories.execute("SELECT content FROM recall_memories('ana', 'hidden')").fetchall()
    assert rows == [("a hidden garden",)]
    with server.connect(memories.info.dbname, user=owner) as connection:
        memories.execute(sql.SQL("GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO {}").format(sql.Identifier(owner)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row security hides memories"):
            connection.execute("CALL gravity_memory_rebuild_recall(p_everything => true)")
