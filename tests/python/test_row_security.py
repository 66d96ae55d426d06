"""Row security holds for every table, every function and every way to read an index, whatever a role was granted.

Two users have rows in every table. A role whose session stands for one of them tries everything that there is to call,
and whatever comes back, an error or a notice included, is searched for what belongs to the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql

from devtools.fixtures import Connection, MakeDatabase, MakeRole
from devtools.servers import Server

DIMENSIONS = 64
MARK = "zebra"
"""A word that only the other user's rows have."""

TABLES = (
    "gravity_map",
    "memory_arcs",
    "memory_arc_associations",
    "consciousness_cache",
    "active_sessions",
    "pattern_matrix",
    "memory_arc_locks",
    "gravity_memory_settings",
    "memory_digests",
    "memory_postings",
    "memory_recall_gaps",
    "memory_events",
)

_FILL = f"""
SELECT gravity_memory_set('feed', 'on');
INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, entities, session_id, memory_trace_id,
                         embedding)
SELECT u.name, 'the garden of the ' || u.animal || ' ' || i, 0.9, 'joy', ARRAY[u.animal], u.animal, u.animal,
       (SELECT array_agg(sin(d * i))::vector FROM generate_series(1, {DIMENSIONS}) AS d)
FROM (VALUES ('ana', 'horse'), ('ben', '{MARK}')) AS u (name, animal), generate_series(1, 20) AS i;
INSERT INTO consciousness_cache (user_id, query_text, response, created_at)
SELECT u.name, u.animal, u.animal, now() - interval '9 days'
FROM (VALUES ('ana', 'horse'), ('ben', '{MARK}')) AS u (name, animal);
INSERT INTO active_sessions (session_id, user_id) VALUES ('horse', 'ana'), ('{MARK}', 'ben');
INSERT INTO pattern_matrix (user_id, description) VALUES ('ana', 'horse'), ('ben', '{MARK}');
INSERT INTO memory_recall_gaps (user_id, is_every_user) VALUES ('nobody', false);
"""

_MEMBERS = """
SELECT p.oid::regprocedure::text, p.proname, p.prokind, p.proargnames, p.proargmodes::text[], p.pronargdefaults,
       ARRAY(SELECT format_type(t.oid, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS t (oid, n) ORDER BY t.n)
FROM pg_proc AS p
JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
WHERE e.extname = 'gravity_memory' AND p.prorettype <> 'trigger'::regtype
ORDER BY 1
"""

_STATE_OF_BEN = """
SELECT md5(string_agg(r.row, '|' ORDER BY r.row))
FROM (SELECT m::text FROM gravity_map AS m WHERE m.user_id = 'ben'
      UNION ALL SELECT a::text FROM memory_arcs AS a WHERE a.user_id = 'ben'
      UNION ALL SELECT l::text FROM memory_arc_associations AS l WHERE l.user_id = 'ben'
      UNION ALL SELECT c::text FROM consciousness_cache AS c WHERE c.user_id = 'ben'
      UNION ALL SELECT s::text FROM active_sessions AS s WHERE s.user_id = 'ben'
      UNION ALL SELECT p::text FROM pattern_matrix AS p WHERE p.user_id = 'ben'
      UNION ALL SELECT e::text FROM memory_events AS e WHERE e.user_id = 'ben'
      UNION ALL SELECT d::text FROM memory_digests AS d WHERE d.user_id = 'ben'
      UNION ALL SELECT g::text FROM gravity_memory_settings AS g
      UNION ALL SELECT t.tgname || t.tgenabled::text FROM pg_trigger AS t WHERE NOT t.tgisinternal) AS r (row)
"""


@dataclass
class Stage:
    """The database, its superuser, and what a role must never see."""

    connection: Connection
    role: str
    secrets: list[str]
    values: dict[str, str]
    notices: list[str] = field(default_factory=list)

    def leaks(self, seen: object) -> list[str]:
        """What of the other user's is in there, notices included."""
        text = f"{seen!r} {self.notices!r}"
        self.notices.clear()
        return [secret for secret in self.secrets if secret in text]


@pytest.fixture
def stage(server: Server, make_database: MakeDatabase, make_role: MakeRole) -> Iterator[Stage]:
    """Two users with rows everywhere; a role with every privilege on every table, and on every function."""
    role = make_role()
    with server.connect(make_database(["vector"])) as connection:
        connection.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}")
        connection.execute("CREATE EXTENSION gravity_memory")
        connection.execute("CREATE TABLE head AS SELECT NULL::text AS cursor")
        connection.execute(_FILL)
        name = sql.Identifier(role)
        connection.execute(sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}").format(name))
        connection.execute(sql.SQL("GRANT ALL ON ALL ROUTINES IN SCHEMA public TO {}").format(name))
        connection.execute("SELECT pg_catalog.set_config('search_path', 'public', false)")
        ids = [
            str(row[0])
            for row in connection.execute(
                "SELECT id FROM gravity_map WHERE user_id = 'ben'"
                " UNION ALL SELECT id FROM memory_arcs WHERE user_id = 'ben'"
            )
        ]
        row = connection.execute(
            "SELECT memory_changes_head(), (SELECT embedding::text FROM gravity_map WHERE user_id = 'ben' LIMIT 1),"
            " (SELECT array_agg(line)::text FROM gravity_memory_export_user('ben') AS line)"
        ).fetchone()
        assert row is not None
        values = {
            "cursor": row[0],
            "embedding": row[1],
            "lines": row[2],
            "memory": ids[0],
            "ids": f"{{{','.join(ids)}}}",
        }
        found = Stage(connection, role, [MARK, *ids], values)
        connection.add_notice_handler(
            lambda n: found.notices.append(f"{n.message_primary} {n.message_detail} {n.message_hint} {n.context}")
        )
        yield found


def argument(stage: Stage, name: str, kind: str) -> str:
    """An argument that asks for what is the other user's, as a literal's text; NULL where nothing of theirs fits."""
    by_name = {
        "p_table_name": "gravity_map",
        "p_written": "{gravity_map}",
        "p_read": "{memory_events}",
        "p_condition": "true",
        "p_cursor": stage.values["cursor"],
        "p_lines": stage.values["lines"],
        "p_column": "content",
        "p_name": "notify",
        "p_value": "off",
        "p_statement": "SELECT * FROM gravity_map",
    }
    by_kind = {
        "text": "joy" if "emotion" in name else "ben",
        "text[]": "{ben}",
        "uuid": stage.values["memory"],
        "uuid[]": stage.values["ids"],
        "vector": stage.values["embedding"],
        "integer": "100",
        "bigint": "100",
        "double precision": "0",
        "numeric": "0",
        "boolean": "true",
        "jsonb": "{}",
        "json": "{}",
        "timestamp with time zone": "2000-01-01",
        "timestamp with time zone[]": "{2000-01-01}",
        "interval": "1000 years",
        "regconfig": "english",
    }
    if kind == "text" and ("quer" in name or "trace" in name):
        return f"garden {MARK}" if "quer" in name else MARK
    return by_name.get(name, by_kind.get(kind, ""))


def calls(stage: Stage) -> Iterator[tuple[str, str]]:
    """Signature and calls of every function of the extension but triggers, with the other user's names and ids.

    A function with defaults is called with all of its parameters, with those that it needs, and with some more.
    """
    for signature, name, kind, names, modes, defaults, kinds in stage.connection.execute(_MEMBERS).fetchall():
        inputs = [n for n, m in zip(names or [], modes or ["i"] * len(kinds), strict=False) if m in ("i", "b", "v")]
        literals = []
        for parameter, parameter_kind in zip(inputs or [""] * len(kinds), kinds, strict=True):
            value = argument(stage, parameter, parameter_kind)
            if value:
                literals.append(sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(parameter_kind)).as_string())
            elif parameter_kind.startswith("bit"):
                literals.append(f"binary_quantize('{stage.values['embedding']}'::vector)")
            else:
                literals.append(f"NULL::{parameter_kind}")
        verb = "CALL" if kind == "p" else "SELECT * FROM"
        yield signature, f"{verb} {name}({', '.join(literals)})"
        for left_out in {defaults, defaults - 2} - {0, -1, -2}:
            yield signature, f"{verb} {name}({', '.join(literals[:-left_out])})"


def act_as(stage: Stage, user: str) -> None:
    """Continue in this transaction as the role, for the user."""
    stage.connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(stage.role)))
    stage.connection.execute("SELECT set_config('gravity_memory.user_id', %s, true)", (user,))


@pytest.mark.parametrize("user", ["ana", ""])
def test_no_function_shows_or_changes_what_is_anothers_even_if_all_of_them_are_granted(stage: Stage, user: str) -> None:
    connection = stage.connection
    before = connection.execute(_STATE_OF_BEN).fetchone()
    tried = answered = 0
    for signature, call in calls(stage):
        stage.notices.clear()
        with connection.transaction(force_rollback=True):
            act_as(stage, user)
            seen: Any
            try:
                with connection.transaction():
                    cursor = connection.execute(call.encode())
                    seen = cursor.fetchall() if cursor.description else None
                    answered += 1
            except psycopg.Error as error:
                seen = (str(error), error.diag.message_detail, error.diag.message_hint)
            leaked = [secret for secret in stage.leaks(seen) if secret not in call]
            assert not leaked, f"{signature} as {user!r} told {leaked} of ben's: {seen!r:.500}"
            connection.execute("RESET ROLE")
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            after = connection.execute(_STATE_OF_BEN).fetchone()
            assert after == before, f"{signature} as {user!r} changed what is ben's: {call}"
        tried += 1
    assert tried > 130
    assert answered > 60


def test_the_calls_of_this_test_do_find_something_for_the_owner(stage: Stage) -> None:
    """Calls that found nothing for anybody would prove nothing."""
    found = set()
    for signature, call in calls(stage):
        try:
            with stage.connection.transaction(force_rollback=True):
                cursor = stage.connection.execute(call.encode())
                seen = cursor.fetchall() if cursor.description else None
        except psycopg.Error:
            continue
        if stage.leaks(seen):
            found.add(signature.split("(")[0])
    assert {
        "_gravity_memory_matching_postings",
        "_gravity_memory_nearest_signatures",
        "find_similar_memories",
        "get_conversation_context",
        "gravity_memory_export_user",
        "gravity_memory_search_all",
        "gravity_weighted_search",
        "match_memories",
        "recall_memories",
    } <= found


@pytest.mark.parametrize("user", ["ana", ""])
def test_a_role_without_grants_may_execute_only_what_reads(
    server: Server, stage: Stage, make_role: MakeRole, user: str
) -> None:
    """The matrix of a role that was granted nothing: an error, or an answer that holds nothing of anybody's."""
    stage.role = make_role()
    for signature, call in calls(stage):
        row = stage.connection.execute(
            "SELECT has_function_privilege('public', %s, 'EXECUTE')", (signature,)
        ).fetchone()
        assert row is not None
        with stage.connection.transaction(force_rollback=True):
            act_as(stage, user)
            seen: Any
            state: str | None = None
            try:
                with stage.connection.transaction():
                    cursor = stage.connection.execute(call.encode())
                    seen = cursor.fetchall() if cursor.description else None
            except psycopg.Error as error:
                seen, state = str(error), error.sqlstate
            assert row[0] or state == "42501", f"{signature}: {seen}"
            assert not [secret for secret in stage.leaks(seen) if secret not in call], signature


_READS = [
    "SELECT user_id, content FROM gravity_map ORDER BY created_at",
    "SELECT user_id FROM gravity_map WHERE user_id = 'ben'",
    "SELECT user_id FROM gravity_map WHERE gravity_score > 0.5",
    "SELECT user_id FROM gravity_map WHERE identity_anchor",
    "SELECT user_id FROM gravity_map WHERE entities @> '{zebra}'",
    "SELECT user_id FROM gravity_map WHERE emotion_type = 'joy' AND gravity_score >= 0.75",
    "SELECT user_id FROM gravity_map WHERE session_id = 'zebra' ORDER BY created_at DESC",
    "SELECT user_id FROM gravity_map WHERE memory_trace_id = 'zebra'",
    "SELECT user_id FROM gravity_map WHERE metadata @> '{}'",
    "SELECT user_id FROM gravity_map WHERE id = %(memory)s",
    "SELECT user_id FROM gravity_map ORDER BY embedding <=> %(embedding)s::vector LIMIT 20",
    "SELECT user_id FROM gravity_map ORDER BY embedding <-> %(embedding)s::vector LIMIT 20",
    "SELECT count(*)::text FROM gravity_map HAVING count(*) NOT IN (0, 20)",
    "SELECT max(user_id) FROM gravity_map",
    "SELECT user_id FROM memory_arcs WHERE user_id = 'ben' OR emotion_type = 'joy'",
    "SELECT user_id FROM memory_arc_associations WHERE memory_id = %(memory)s OR true",
    "SELECT user_id FROM consciousness_cache WHERE created_at < now()",
    "SELECT user_id FROM active_sessions WHERE session_id = 'zebra'",
    "SELECT user_id FROM pattern_matrix",
    "SELECT user_id FROM memory_events WHERE user_id <> ''",
    "SELECT m.user_id FROM memory_arc_associations AS l JOIN gravity_map AS m ON m.id = l.memory_id",
]
"""Queries that use every kind of index; each returns users."""


@pytest.mark.parametrize("avoided", ["", "enable_seqscan", "enable_indexscan", "enable_bitmapscan"])
def test_rows_of_others_are_hidden_on_every_way_through_the_indexes(stage: Stage, avoided: str) -> None:
    """Whatever way the planner takes; the settings make it take each, and say nothing of which it would choose."""
    connection = stage.connection
    connection.execute("SELECT gravity_memory_set('embedding_index_min_rows', '1')")
    for (statement,) in connection.execute("SELECT gravity_memory_vector_index_ddl()").fetchall():
        connection.execute(statement)
    built = connection.execute(
        "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'idx_gravity_map_embedding%'"
    ).fetchone()
    assert built == (2,)
    with connection.transaction(force_rollback=True):
        if avoided:
            connection.execute(sql.SQL("SET LOCAL {} = off").format(sql.Identifier(avoided)))
        act_as(stage, "ana")
        for read in _READS:
            rows = connection.execute(read.encode(), stage.values).fetchall()
            assert {row[0] for row in rows} <= {"ana"}, read
            assert not stage.leaks(rows), read


def test_a_condition_that_tells_what_it_is_asked_is_asked_of_own_rows_only(stage: Stage) -> None:
    stage.connection.execute(
        "CREATE FUNCTION telltale(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001"
        " AS $$ BEGIN RAISE NOTICE 'told: %', $1; RETURN true; END $$"
    )
    with stage.connection.transaction(force_rollback=True):
        act_as(stage, "ana")
        rows = stage.connection.execute("SELECT content FROM gravity_map WHERE telltale(content)").fetchall()
        assert len(rows) == 20
        assert len(stage.notices) == 20
        assert not stage.leaks(rows)


def test_the_feed_has_a_sessions_own_events(server: Server, stage: Stage) -> None:
    with server.connect(stage.connection.info.dbname, user=stage.role) as connection:
        connection.execute("SET gravity_memory.user_id = 'ana'")
        head = connection.execute("SELECT memory_changes_head()").fetchone()
        assert head is not None
        stage.connection.execute("UPDATE gravity_map SET topic = 'x'")
        rows = connection.execute(
            "SELECT user_id, payload FROM gravity_memory_changes('{ana,ben}', %s) WHERE event IS NOT NULL", head
        ).fetchall()
        assert {row[0] for row in rows} == {"ana"}
        assert len(rows) == 20
        assert not stage.leaks(rows)
        others = connection.execute("SELECT event FROM memory_changes_since('ben', %s)", head).fetchall()
        assert others == [(None,)]


@pytest.mark.parametrize("who", ["owner", "bypassrls"])
def test_the_owner_and_roles_with_bypassrls_are_not_bound(
    server: Server, make_database: MakeDatabase, make_role: MakeRole, who: str
) -> None:
    owner = make_role()
    other = make_role("LOGIN BYPASSRLS")
    database = make_database(["vector"], owner=owner)
    with server.connect(database, user=owner) as connection:
        connection.execute("CREATE EXTENSION gravity_memory")
        connection.execute("INSERT INTO gravity_map (user_id, content) VALUES ('ana', 'x'), ('ben', 'y')")
        connection.execute(
            sql.SQL("GRANT SELECT, INSERT ON gravity_map TO {}").format(sql.Identifier(other)),
        )
    with server.connect(database, user=owner if who == "owner" else other) as connection:
        connection.execute("INSERT INTO gravity_map (user_id, content) VALUES ('cyd', 'z')")
        rows = connection.execute("SELECT user_id FROM gravity_map ORDER BY 1").fetchall()
        assert rows == [("ana",), ("ben",), ("cyd",)]
        assert len(connection.execute("SELECT id FROM recall_memories('ben', 'y')").fetchall()) == 1


def test_requests_through_one_connection_see_one_user_each(server: Server, stage: Stage) -> None:
    """As PostgREST asks: claims for one transaction, of one user after the other, on a connection that stays open."""
    with server.connect(stage.connection.info.dbname, user=stage.role) as connection:
        for user in ("ana", "ben", "nobody", "ana"):
            with connection.transaction():
                connection.execute(
                    "SELECT set_config('request.jwt.claims', json_build_object('sub', %s::text)::text, true)", (user,)
                )
                rows = connection.execute("SELECT user_id FROM gravity_map").fetchall()
                assert rows == [(user,)] * (0 if user == "nobody" else 20)
                recalled = connection.execute(
                    "SELECT id FROM recall_memories('ben', 'garden', p_limit => 50)"
                ).fetchall()
                assert len(recalled) == (20 if user == "ben" else 0)
        assert connection.execute("SELECT count(*) FROM gravity_map").fetchone() == (0,)


def test_policies_stay_when_the_extension_is_dropped(server: Server, stage: Stage) -> None:
    stage.connection.execute("SELECT count(*) FROM gravity_memory_teardown()")
    stage.connection.execute("DROP EXTENSION gravity_memory")
    with server.connect(stage.connection.info.dbname, user=stage.role) as connection:
        assert connection.execute("SELECT count(*) FROM gravity_map").fetchone() == (0,)
        connection.execute("SET gravity_memory.user_id = 'ana'")
        assert connection.execute("SELECT DISTINCT user_id FROM gravity_map").fetchall() == [("ana",)]


def test_an_upgrade_leaves_row_security_as_it_was(server: Server, make_database: MakeDatabase) -> None:
    """Switched on under an application that names no user, it would hide everything from it."""
    with server.connect(make_database(["vector"])) as connection:
        connection.execute("CREATE EXTENSION gravity_memory VERSION '0.3.0'")
        query = (
            "SELECT c.relname FROM pg_class AS c JOIN _gravity_memory_table_catalogue() AS t"
            " ON c.oid = to_regclass(t.table_name) WHERE c.relrowsecurity ORDER BY 1"
        )
        before = connection.execute(query).fetchall()
        connection.execute("ALTER EXTENSION gravity_memory UPDATE")
        assert connection.execute(query).fetchall() == before
        assert len(before) == 4
        connection.execute("SELECT count(*) FROM gravity_memory_enable_rls()")
        assert len(connection.execute(query).fetchall()) == len(TABLES)
        assert connection.execute("SELECT count(*) FROM gravity_memory_enable_rls()").fetchone() == (0,)


def test_arcs_stay_when_row_security_is_forced_on_the_owner(
    server: Server, make_database: MakeDatabase, make_role: MakeRole
) -> None:
    """To functions that run as the owner every memory would be gone, and they would take the arcs apart."""
    owner = make_role()
    with server.connect(make_database(["vector"], owner=owner), user=owner) as connection:
        connection.execute("CREATE EXTENSION gravity_memory")
        connection.execute(
            "INSERT INTO gravity_map (user_id, gravity_score, emotion_type) SELECT 'ben', 0.9, 'joy'"
            " FROM generate_series(1, 3)"
        )
        arcs = "SELECT id, memory_count FROM memory_arcs"
        before = connection.execute(arcs).fetchall()
        assert [row[1] for row in before] == [3]
        connection.execute("ALTER TABLE gravity_map FORCE ROW LEVEL SECURITY")
        found = connection.execute("SELECT finding, object FROM gravity_memory_check()").fetchall()
        assert ("forced_row_security", "gravity_map") in found
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row security hides"):
            connection.execute("SELECT gravity_memory_rebuild_arcs('ben')")
        told: list[str | None] = []
        with server.connect(connection.info.dbname) as superuser:
            superuser.add_notice_handler(lambda notice: told.append(notice.message_primary))
            superuser.execute("UPDATE gravity_map SET gravity_score = 0.95")
            assert any("arcs are not kept" in str(message) for message in told)
            assert superuser.execute(arcs).fetchall() == before
        connection.execute("ALTER TABLE gravity_map NO FORCE ROW LEVEL SECURITY")
        connection.execute("SELECT gravity_memory_rebuild_arcs('ben')")
        assert connection.execute("SELECT peak_gravity FROM memory_arcs").fetchall() == [(0.95,)]


def test_switching_on_beside_switching_off_ends_on(server: Server, stage: Stage) -> None:
    """Whoever is told that row security is on can rely on it, whoever else was at work."""
    enabled: list[int] = []

    def enable() -> None:
        with server.connect(stage.connection.info.dbname) as other:
            enabled.append(len(other.execute("SELECT * FROM gravity_memory_enable_rls()").fetchall()))

    with server.connect(stage.connection.info.dbname) as first:
        first.execute("BEGIN")
        first.execute("SELECT count(*) FROM gravity_memory_disable_rls()")
        second = threading.Thread(target=enable)
        second.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while stage.connection.execute(waiting).fetchone() == (0,):
            time.sleep(0.01)
        first.execute("COMMIT")
        second.join(timeout=60)
    assert enabled == [16]
    off = stage.connection.execute(
        "SELECT relname FROM pg_class WHERE relname = ANY (%s) AND NOT relrowsecurity", (list(TABLES),)
    ).fetchall()
    assert off == []
