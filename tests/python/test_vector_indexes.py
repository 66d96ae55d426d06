"""The indexes on embedding: trained on the rows that are there, again as they grow, beside writers, come what may.

What a writer waits for is shown by holding a build up, with a transaction that it has to wait for, and writing
meanwhile: a statement that blocked writers would be waiting with a lock in front of them.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np
import psycopg
import pytest
from psycopg import sql

from devtools.fixtures import EXTENSIONS, Connection, MakeDatabase, MakeRole, NewServer
from devtools.legs import CRON_DATABASE
from devtools.servers import Server
from tests.python.derived_rows import Vectors, clustered, copy, literal, nearest, new_ids

DIMENSIONS = 16
NAMES = ["idx_gravity_map_embedding_cosine", "idx_gravity_map_embedding_l2"]
PATIENCE = 180
"""Seconds after which something that was to happen will not happen any more."""

_INDEXES = """
    SELECT c.relname::text, a.amname::text, i.indisvalid,
           (SELECT o.option_value::integer FROM pg_options_to_table(c.reloptions) AS o WHERE o.option_name = 'lists')
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS a ON a.oid = c.relam
    WHERE i.indrelid = 'gravity_map'::regclass AND a.amname IN ('ivfflat', 'hnsw')
    ORDER BY 1
"""

Index = tuple[str, str, bool, int | None]


def create(db: Connection, dimensions: int = DIMENSIONS, min_rows: int = 1000) -> None:
    """Create the extension for embeddings of so many dimensions, with indexes from `min_rows` on."""
    db.execute("SET client_min_messages = warning")
    db.execute(f"SET gravity_memory.embedding_dimensions = {dimensions}")
    db.execute("CREATE EXTENSION gravity_memory")
    db.execute("RESET client_min_messages")
    put(db, "embedding_index_min_rows", min_rows)


@pytest.fixture
def store(server: Server, make_database: MakeDatabase) -> Iterator[Connection]:
    """A connection to a database for embeddings of DIMENSIONS dimensions, with indexes from 1,000 memories on."""
    with server.connect(make_database(["vector"])) as db:
        create(db)
        yield db


def put(db: Connection, name: str, value: object) -> None:
    """Change a setting."""
    db.execute("SELECT gravity_memory_set(%s, %s)", (name, str(value)))


def fill(db: Connection, vectors: Vectors, user: str = "user") -> list[uuid.UUID]:
    """Store memories without firing triggers, and return their ids."""
    ids = [uuid.uuid4() for _ in vectors]
    db.execute("SET session_replication_role = replica")
    copy(db, user, vectors, ids)
    db.execute("RESET session_replication_role")
    return ids


def statements(db: Connection) -> list[str]:
    """What is to be done about the indexes."""
    return [row[0] for row in db.execute("SELECT gravity_memory_vector_index_ddl()").fetchall()]


def bring_up_to_date(db: Connection) -> list[str]:
    """Do it, and return what was done."""
    todo = statements(db)
    for statement in todo:
        db.execute(statement.encode())
    return todo


def indexes(db: Connection) -> list[Index]:
    """Name, method, validity and lists of every vector index of gravity_map."""
    return [(row[0], row[1], row[2], row[3]) for row in db.execute(_INDEXES).fetchall()]


def trained(lists: int) -> list[Index]:
    """What `indexes` returns when all is well."""
    return [(name, "ivfflat", True, lists) for name in NAMES]


def notices_of(db: Connection) -> list[str]:
    """Collect what a connection is told from now on: severity and message."""
    found: list[str] = []
    db.add_notice_handler(lambda d: found.append(f"{d.severity}: {d.message_primary}"))
    return found


def eventually(db: Connection, query: str, parameters: tuple[object, ...] = ()) -> None:
    """Wait until a query returns true."""
    deadline = time.monotonic() + PATIENCE
    while db.execute(query.encode(), parameters).fetchone() != (True,):
        assert time.monotonic() < deadline, query
        time.sleep(0.02)


class HeldUp:
    """A statement that runs in a session of its own and is kept waiting by a transaction of another one.

    On leaving, the transaction ends; the statement then goes on to its end.
    """

    def __init__(self, server: Server, database: str, statement: str) -> None:
        self.error: psycopg.Error | None = None
        self._watcher = server.connect(database)
        self._holder = server.connect(database, autocommit=False)
        self._session = server.connect(database)
        self._statement = statement
        self._thread = threading.Thread(target=self._run)

    @property
    def pid(self) -> int:
        """Of the session that runs the statement."""
        return self._session.info.backend_pid

    def _run(self) -> None:
        try:
            self._session.execute(self._statement.encode())
        except psycopg.Error as error:
            self.error = error

    def __enter__(self) -> Self:
        self._holder.execute("INSERT INTO gravity_map (user_id) VALUES ('holder')")
        self._thread.start()
        self.assert_waits()
        return self

    def assert_waits(self) -> None:
        """It waits for the transaction that holds it up."""
        eventually(self._watcher, "SELECT %s = ANY (pg_blocking_pids(%s))", (self._holder.info.backend_pid, self.pid))

    def locks(self) -> set[str]:
        """The modes in which it has locked gravity_map, or waits to."""
        rows = self._watcher.execute(
            "SELECT mode FROM pg_locks WHERE pid = %s AND relation = 'gravity_map'::regclass", (self.pid,)
        )
        return {row[0] for row in rows.fetchall()}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.rollback()
        self._thread.join(PATIENCE)
        for connection in (self._watcher, self._holder, self._session):
            connection.close()
        assert not self._thread.is_alive()


class Writer:
    """A session that writes memories, each in a transaction of its own, and gives up when it has to wait."""

    def __init__(self, server: Server, database: str) -> None:
        self.db = server.connect(database)
        self.db.execute("SET lock_timeout = '2s'")

    def write(self) -> None:
        """One of each kind."""
        self.db.execute(
            "INSERT INTO gravity_map (user_id, embedding) VALUES ('writer', %s::vector)",
            (literal(clustered(1, 1, DIMENSIONS)[0]),),
        )
        self.db.execute("UPDATE gravity_map SET embedding = embedding WHERE user_id = 'writer'")
        self.db.execute("DELETE FROM gravity_map WHERE user_id = 'writer'")


def run_beside_a_writer(server: Server, db: Connection, statement: str) -> None:
    """Run a statement that is held up, and write meanwhile."""
    if statement.startswith("SELECT"):
        # Names are changed in a moment, and whatever transactions are open are not waited for.
        with server.connect(db.info.dbname, autocommit=False) as holder:
            holder.execute("INSERT INTO gravity_map (user_id) VALUES ('holder')")
            db.execute(statement.encode())
            holder.rollback()
        return
    writer = Writer(server, db.info.dbname)
    with HeldUp(server, db.info.dbname, statement) as held:
        for _ in range(3):
            writer.write()
        held.assert_waits()
        assert held.locks() <= {"ShareUpdateExclusiveLock", "AccessShareLock"}
    assert held.error is None
    writer.db.close()


def test_a_table_that_grows_from_empty_gets_its_indexes_and_later_better_ones_while_others_write(
    server: Server, store: Connection
) -> None:
    assert statements(store) == []
    fill(store, clustered(999, 1, DIMENSIONS))
    assert statements(store) == []
    fill(store, clustered(1001, 2, DIMENSIONS))
    first = statements(store)
    assert [statement.split(" ON ")[0] for statement in first] == [f"CREATE INDEX CONCURRENTLY {n}" for n in NAMES]
    for statement in first:
        run_beside_a_writer(server, store, statement)
    assert indexes(store) == trained(10)
    assert statements(store) == []

    fill(store, clustered(20_000, 3, DIMENSIONS))
    store.execute("ANALYZE gravity_map")
    again = statements(store)
    assert [statement.split()[0] for statement in again] == ["CREATE", "CREATE", "SELECT", "DROP", "DROP"]
    for statement in again:
        run_beside_a_writer(server, store, statement)
        assert {name for name, _, valid, _ in indexes(store) if valid} >= set(NAMES), "searches keep an index"
    assert indexes(store) == trained(22)
    assert statements(store) == []


def test_a_build_that_is_going_on_is_left_alone_and_one_that_was_interrupted_is_mended(
    server: Server, store: Connection
) -> None:
    fill(store, clustered(1500, 1, DIMENSIONS))
    told = notices_of(store)
    with HeldUp(server, store.info.dbname, statements(store)[0]) as held:
        eventually(
            store, "SELECT count(*) = 1 FROM pg_index WHERE indrelid = 'gravity_map'::regclass AND NOT indisvalid"
        )
        assert statements(store) == []
        assert any(f"session {held.pid} is building" in message for message in told)
        # Whoever has written down what to do before cannot do harm either.
        with pytest.raises(psycopg.errors.LockNotAvailable, match="indexed or vacuumed by another session") as refused:
            store.execute("SELECT _gravity_memory_settle_vector_indexes()")
        assert refused.value.diag.message_hint
        store.execute("SELECT pg_cancel_backend(%s)", (held.pid,))
        held._thread.join(PATIENCE)
    assert isinstance(held.error, psycopg.errors.QueryCanceled)
    assert indexes(store) == [(NAMES[0], "ivfflat", False, 10)]
    assert [statement.split()[0] for statement in bring_up_to_date(store)] == ["SELECT", "DROP", "CREATE", "CREATE"]
    assert indexes(store) == trained(10)


def test_retraining_that_stops_after_any_statement_is_finished_by_the_next_call(store: Connection) -> None:
    fill(store, clustered(1000, 1, DIMENSIONS))
    bring_up_to_date(store)
    for done in range(5):
        lists = 40 if done % 2 == 0 else 15
        put(store, "embedding_lists", lists)
        todo = statements(store)
        assert len(todo) == 5
        for statement in todo[:done]:
            store.execute(statement.encode())
        bring_up_to_date(store)
        assert indexes(store) == trained(lists), f"after {todo[:done]}"
        assert statements(store) == []


@pytest.mark.parametrize("one_by_one", [True, False], ids=["in turns", "one after the other"])
def test_two_sessions_that_do_the_same_leave_the_indexes_as_one_does(
    server: Server, store: Connection, one_by_one: bool
) -> None:
    fill(store, clustered(1000, 1, DIMENSIONS))
    bring_up_to_date(store)
    put(store, "embedding_lists", 40)
    with server.connect(store.info.dbname) as other:
        todo = statements(store)
        assert statements(other) == todo
        turns = (
            [(db, s) for s in todo for db in (store, other)]
            if one_by_one
            else [(d, s) for d in (store, other) for s in todo]
        )
        for db, statement in turns:
            try:
                db.execute(statement.encode())
            except psycopg.errors.DuplicateTable:
                assert statement.startswith("CREATE")
            assert {name for name, _, valid, _ in indexes(store) if valid} >= set(NAMES), statement
    bring_up_to_date(store)
    assert indexes(store) == trained(40)
    assert statements(store) == []


def test_another_kind_of_index_replaces_the_old_one_and_none_takes_both_away(store: Connection) -> None:
    vectors = clustered(8000, 1, DIMENSIONS)
    ids = fill(store, vectors)
    store.execute("ANALYZE gravity_map")
    queries = clustered(20, 2, DIMENSIONS)
    for method, expected in (
        ("ivfflat", trained(10)),
        ("hnsw", [(name, "hnsw", True, None) for name in NAMES]),
        ("ivfflat", trained(10)),
        ("none", []),
        ("ivfflat", trained(10)),
    ):
        put(store, "embedding_index", method)
        bring_up_to_date(store)
        assert indexes(store) == expected
        assert statements(store) == []
        before = scans(store, method)
        found = [len(set(searched(store, query, 10)) & nearest(ids, vectors, query, 10)) for query in queries]
        assert sum(found) / (10 * len(queries)) >= (0.95 if expected else 1)
        assert scans(store, method) == before + (len(queries) if expected else 0)


def test_an_index_that_was_trained_on_an_empty_table_is_trained_again(store: Connection) -> None:
    store.execute("SET client_min_messages = warning")
    for name, operators in zip(NAMES, ("vector_cosine_ops", "vector_l2_ops"), strict=True):
        store.execute(f"CREATE INDEX {name} ON gravity_map USING ivfflat (embedding {operators}) WITH (lists = 15)")
        # What the upgrade from 0.1.0 leaves.
        store.execute(f"COMMENT ON INDEX {name} IS 'gravity_memory: train again, it was built on an empty table'")
    fill(store, clustered(1000, 1, DIMENSIONS))
    before = store.execute("SELECT array_agg(indexrelid) FROM pg_index").fetchone()
    bring_up_to_date(store)
    assert indexes(store) == trained(10)
    assert store.execute("SELECT array_agg(indexrelid) FROM pg_index").fetchone() != before
    assert statements(store) == []


def test_an_index_does_not_come_and_go_with_every_estimate(store: Connection) -> None:
    fill(store, clustered(1000, 1, DIMENSIONS))
    bring_up_to_date(store)
    put(store, "embedding_index_min_rows", 2000)
    assert statements(store) == []
    put(store, "embedding_index_min_rows", 2001)
    bring_up_to_date(store)
    assert indexes(store) == []


def test_memories_without_embedding_do_not_count_whether_or_not_there_are_statistics(store: Connection) -> None:
    fill(store, clustered(1500, 1, DIMENSIONS))
    store.execute("ALTER TABLE gravity_map DISABLE TRIGGER USER")
    store.execute("INSERT INTO gravity_map (user_id) SELECT 'user' FROM generate_series(1, 3000)")
    for prepare in ("SELECT", "VACUUM ANALYZE gravity_map"):
        store.execute(prepare.encode())
        for least, wanted in ((1700, 0), (1300, 2)):
            put(store, "embedding_index_min_rows", least)
            assert len(statements(store)) == wanted, prepare


def test_an_owner_under_forced_row_security_trains_on_the_rows_that_are_there(
    server: Server, make_database: MakeDatabase, make_role: MakeRole
) -> None:
    owner = make_role()
    name = make_database([])
    with server.connect(name) as db:
        db.execute('CREATE SCHEMA "vec.tors"')
        db.execute('CREATE EXTENSION vector SCHEMA "vec.tors"')
        db.execute(sql.SQL('GRANT USAGE ON SCHEMA "vec.tors" TO {}').format(sql.Identifier(owner)))
        db.execute(sql.SQL('CREATE SCHEMA "50% Mëmory" AUTHORIZATION {}').format(sql.Identifier(owner)))
        db.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(name), sql.Identifier(owner)))
    with server.connect(name, user=owner) as db:
        db.execute("SET client_min_messages = warning")
        db.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}")
        db.execute('CREATE EXTENSION gravity_memory SCHEMA "50% Mëmory"')
        db.execute('SET search_path = "50% Mëmory", "vec.tors"')
        put(db, "embedding_index_min_rows", 500)
        db.execute("ALTER TABLE gravity_map DISABLE TRIGGER USER")
        db.execute(
            "INSERT INTO gravity_map (user_id, embedding)"
            " SELECT 'user', ARRAY(SELECT random() + 0 * i FROM generate_series(1, %s))::vector"
            " FROM generate_series(1, 1000) AS i",
            (DIMENSIONS,),
        )
        db.execute("ANALYZE gravity_map")
        db.execute("ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY")
        db.execute("ALTER TABLE gravity_map FORCE ROW LEVEL SECURITY")
        assert db.execute("SELECT count(*) FROM gravity_map").fetchone() == (0,), "the owner sees none of them"
        bring_up_to_date(db)
        assert indexes(db) == trained(10)
        put(db, "embedding_lists", 25)
        bring_up_to_date(db)
        assert indexes(db) == trained(25)
        assert statements(db) == []
        assert searched(db, clustered(1, 1, DIMENSIONS)[0], 10) == []


def test_where_memory_is_too_small_to_train_a_warning_says_how_much_it_takes(
    server: Server, make_database: MakeDatabase
) -> None:
    with server.connect(make_database(["vector"])) as db:
        create(db, dimensions=2000, min_rows=50)
        fill(db, clustered(60, 1, 2000))
        told = notices_of(db)
        db.execute("SET maintenance_work_mem = '64MB'")
        assert statements(db) == []
        warning = (
            "WARNING: gravity_memory: the indexes on embedding cannot be built: maintenance_work_mem must be at least "
        )
        assert len(told) == 1
        assert told[0].startswith(warning)
        needed = int(told[0].removeprefix(warning).split(" MB")[0])
        # As much is enough, and an index that is there stays when a session with less looks at it.
        db.execute(f"SET maintenance_work_mem = '{needed}MB'")
        bring_up_to_date(db)
        assert indexes(db) == trained(10)
        db.execute("SET maintenance_work_mem = '64MB'")
        assert statements(db) == []
        assert len(searched(db, clustered(1, 2, 2000)[0], 10)) == 10
        # An index that takes no training is built in any memory.
        put(db, "embedding_index", "hnsw")
        bring_up_to_date(db)
        assert [index[1] for index in indexes(db)] == ["hnsw", "hnsw"]


def test_the_number_of_lists_is_what_pgvector_can_train_in_the_memory_there_is(store: Connection) -> None:
    fill(store, clustered(1000, 1, DIMENSIONS))
    put(store, "embedding_lists", 0)
    for memory, rows in (("1536kB", 100_000), ("2MB", 1_000_000), ("32MB", 1_000_000), ("32MB", 100_000_000)):
        store.execute(f"SET maintenance_work_mem = '{memory}'")
        row = store.execute("SELECT * FROM _gravity_memory_ivfflat_lists(%s, %s)", (rows, DIMENSIONS)).fetchone()
        assert row is not None
        wanted, fitting, megabytes = row
        assert 10 <= fitting < wanted
        # 50 samples per list are taken of a table large enough; so few rows take less, and the greatest number fits.
        store.execute(
            f"CREATE INDEX trial ON gravity_map USING ivfflat (embedding vector_cosine_ops) WITH (lists = {fitting})"
        )
        store.execute("DROP INDEX trial")
        store.execute(f"SET maintenance_work_mem = '{megabytes}MB'")
        assert store.execute(
            "SELECT lists_fitting FROM _gravity_memory_ivfflat_lists(%s, %s)", (rows, DIMENSIONS)
        ).fetchone() == (wanted,)


@pytest.mark.parametrize(("dimensions", "expected"), [(1, NAMES[1:]), (2, NAMES), (2001, []), (16000, [])])
def test_embeddings_that_pgvector_cannot_index_are_searched_without_an_index(
    server: Server, make_database: MakeDatabase, dimensions: int, expected: list[str]
) -> None:
    with server.connect(make_database(["vector"])) as db:
        create(db, dimensions=min(dimensions, 2000), min_rows=20)
        if dimensions > 2000:
            db.execute(f"ALTER TABLE gravity_map ALTER embedding TYPE vector({dimensions})")
        ids = fill(db, np.ones((30, dimensions), dtype=np.float32))
        told = notices_of(db)
        db.execute("SET maintenance_work_mem = '256MB'")
        bring_up_to_date(db)
        assert [index[0] for index in indexes(db)] == expected
        assert statements(db) == []
        assert any("more than 2000" in message for message in told) == (dimensions > 2000)
        assert set(searched(db, np.ones(dimensions, dtype=np.float32), 40)) == set(ids)


def test_the_writers_of_a_partitioned_table_are_blocked_only_by_those_who_choose_to(
    server: Server, make_database: MakeDatabase
) -> None:
    with server.connect(make_database(["vector"])) as db:
        db.execute(
            "CREATE TABLE gravity_map (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text NOT NULL,"
            f" embedding vector({DIMENSIONS})) PARTITION BY HASH (id)"
        )
        for part in range(2):
            db.execute(
                f"CREATE TABLE part_{part} PARTITION OF gravity_map FOR VALUES WITH (MODULUS 2, REMAINDER {part})"
            )
        create(db)
        vectors = clustered(1500, 1, DIMENSIONS)
        ids = fill(db, vectors)
        told = notices_of(db)
        assert db.execute("SELECT gravity_memory_train_vector_indexes()").fetchone() == (None,)
        assert any("blocks the writers of a partitioned table" in message for message in told)
        for lists in (10, 30):
            put(db, "embedding_lists", lists)
            done = bring_up_to_date(db)
            assert not any("CONCURRENTLY" in statement for statement in done)
            assert indexes(db) == trained(lists)
            assert statements(db) == []
            before = scans(db, "ivfflat")
            query = clustered(1, 2, DIMENSIONS)[0]
            assert len(set(searched(db, query, 10)) & nearest(ids, vectors, query, 10)) >= 9
            assert scans(db, "ivfflat") > before


def searched(db: Connection, query: Vectors, count: int) -> list[uuid.UUID]:
    """What gravity_memory_search_all() answers."""
    rows = db.execute(
        "SELECT id FROM gravity_memory_search_all(query_embedding => %s::vector, match_threshold => -1,"
        " match_count => %s)",
        (literal(query), count),
    ).fetchall()
    return [row[0] for row in rows]


def scans(db: Connection, method: str) -> int:
    """How often the indexes by cosine of this kind have been used, in all partitions."""
    db.execute("SELECT pg_stat_force_next_flush()")
    row = db.execute(
        "SELECT COALESCE(sum(s.idx_scan), 0)::integer FROM pg_stat_user_indexes AS s"
        " JOIN pg_class AS c ON c.oid = s.indexrelid JOIN pg_am AS a ON a.oid = c.relam"
        " WHERE a.amname = %s AND pg_get_indexdef(c.oid) LIKE '%%cosine%%'",
        (method,),
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture(scope="module")
def crowd(server: Server) -> Iterator[tuple[Connection, list[uuid.UUID], Vectors]]:
    """20,000 memories of several users with 64 dimensions, 40 of them alike, and 30 whose vector is zero."""
    name = "gravity_memory_vector_indexes"
    vectors = clustered(20_000, 1, 64)
    vectors[:40] = vectors[0]
    server.drop_database(name)
    server.create_database(name, extensions=["vector"])
    try:
        with server.connect(name) as db:
            create(db, dimensions=64)
            ids = new_ids(len(vectors), 1)
            db.execute("SET session_replication_role = replica")
            for user in range(4):
                copy(db, f"user {user}", vectors[user::4], ids[user::4])
            copy(db, "user 0", np.zeros((30, 64), dtype=np.float32), new_ids(30, 2))
            db.execute("RESET session_replication_role")
            db.execute("VACUUM ANALYZE gravity_map")
            yield db, ids, vectors
    finally:
        server.drop_database(name)


def test_a_search_across_users_finds_the_nearest_through_the_index_and_as_many_as_it_was_asked_for(
    crowd: tuple[Connection, list[uuid.UUID], Vectors],
) -> None:
    db, ids, vectors = crowd
    bring_up_to_date(db)
    assert indexes(db) == trained(20)
    before = scans(db, "ivfflat")
    queries = clustered(40, 2, 64)
    found = sum(len(set(searched(db, query, 10)) & nearest(ids, vectors, query, 10)) for query in queries)
    assert found / (10 * len(queries)) >= 0.95
    assert scans(db, "ivfflat") == before + len(queries)
    for count in (1, 10, 100, 5_000, 20_000, 20_100):
        assert len(searched(db, queries[0], count)) == min(count, len(ids)), "zero vectors are not found"
    # Of memories that are alike, as many as were asked for.
    alike = {ids[place] for place in range(40)}
    assert len(set(searched(db, vectors[0], 10)) & alike) == 10


def test_a_search_across_users_under_row_security_misses_none_of_the_rows_that_the_caller_may_see(
    crowd: tuple[Connection, list[uuid.UUID], Vectors], server: Server, make_role: MakeRole
) -> None:
    db, ids, vectors = crowd
    bring_up_to_date(db)
    reader = make_role()
    db.execute(sql.SQL("GRANT SELECT ON gravity_map TO {}").format(sql.Identifier(reader)))
    db.execute("ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY")
    try:
        db.execute("CREATE POLICY few ON gravity_map FOR SELECT USING (get_byte(uuid_send(id), 0) = 7)")
        seen = [place for place, memory in enumerate(ids) if memory.bytes[0] == 7]
        with server.connect(db.info.dbname, user=reader) as reading:
            for query in clustered(5, 3, 64):
                best = nearest([ids[place] for place in seen], vectors[seen], query, 10)
                assert set(searched(reading, query, 10)) == best
                assert set(searched(reading, query, 1000)) == {ids[place] for place in seen}
    finally:
        db.execute("DROP POLICY IF EXISTS few ON gravity_map")
        db.execute("ALTER TABLE gravity_map DISABLE ROW LEVEL SECURITY")


def test_a_search_across_users_leaves_the_callers_settings_as_they_were(
    crowd: tuple[Connection, list[uuid.UUID], Vectors],
) -> None:
    db, _, vectors = crowd
    with db.transaction(force_rollback=True):
        db.execute("SET LOCAL ivfflat.probes = 3")
        db.execute("SET LOCAL hnsw.ef_search = 77")
        searched(db, vectors[0], 10)
        shown = db.execute("SELECT current_setting('ivfflat.probes'), current_setting('hnsw.ef_search')").fetchone()
        assert shown == ("3", "77")


# With pg_cron.


def step_job(db: Connection) -> tuple[str, str] | None:
    """Schedule and command of the step that is due."""
    row = db.execute("SELECT schedule, command FROM cron.job WHERE jobname = 'train-vector-index-step'").fetchone()
    return None if row is None else (row[0], row[1])


def train(db: Connection) -> str | None:
    """What the job train-vector-indexes does."""
    row = db.execute("SELECT gravity_memory_train_vector_indexes()").fetchone()
    assert row is not None
    return None if row[0] is None else str(row[0])


@pytest.fixture
def running_cron(server: Server, new_server: NewServer) -> Iterator[Connection]:
    """The database of pg_cron in a fresh server, whose launcher nobody has stopped by dropping its database."""
    if not server.has_pg_cron:
        pytest.skip(f"PostgreSQL {server.major} comes without pg_cron here")
    with new_server(cron_database=CRON_DATABASE).connect(CRON_DATABASE) as db:
        for extension in ("pg_cron", *EXTENSIONS[:1]):
            db.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
        create(db, min_rows=50)
        yield db


def test_the_scheduled_job_trains_the_indexes_and_clears_its_steps_away(running_cron: Connection) -> None:
    db = running_cron
    fill(db, clustered(100, 1, DIMENSIONS))
    assert db.execute(
        "SELECT command FROM cron.job WHERE jobname = 'train-vector-indexes' AND schedule = '*/10 * * * *'"
    ).fetchone() == ("SELECT public.gravity_memory_train_vector_indexes()",)
    # From here on the test calls it; every ten minutes the job would come in between.
    db.execute("SELECT cron.unschedule('train-vector-indexes')")
    first = train(db)
    assert first is not None
    assert first.startswith(f"CREATE INDEX CONCURRENTLY {NAMES[0]} ")
    # Called again before the step has run, it leaves it in its place.
    due = step_job(db)
    assert due is not None
    assert due[1] == first
    assert train(db) is None
    assert step_job(db) == due
    deadline = time.monotonic() + 420
    while indexes(db) != [(NAMES[0], "ivfflat", True, 10)]:
        assert time.monotonic() < deadline, db.execute("SELECT * FROM cron.job_run_details").fetchall()
        time.sleep(0.25)
    # While the step is ending it still holds its lock, and nothing further is scheduled.
    second = train(db)
    while second is None:
        assert time.monotonic() < deadline, db.execute("SELECT * FROM cron.job_run_details").fetchall()
        time.sleep(0.25)
        second = train(db)
    assert second.startswith(f"CREATE INDEX CONCURRENTLY {NAMES[1]} ")
    db.execute(second.encode())
    assert train(db) is None
    assert step_job(db) is None
    # What is to be renamed is renamed at once, and what is set aside is dropped by the next step.
    put(db, "embedding_lists", 25)
    for name in NAMES:
        created = train(db)
        assert created is not None
        assert created.startswith(f"CREATE INDEX CONCURRENTLY {name}_successor ")
        db.execute(created.encode())
        dropped = train(db)
        assert dropped is not None
        assert dropped.startswith(f"DROP INDEX CONCURRENTLY IF EXISTS public.{name}_old_")
        db.execute(dropped.encode())
    assert indexes(db) == trained(25)
    assert train(db) is None


def test_a_step_that_failed_is_not_tried_again_every_ten_minutes(cron_db: Connection) -> None:
    put(cron_db, "embedding_index_min_rows", 2)
    fill(cron_db, clustered(3, 1, 1536))
    statement = train(cron_db)
    assert statement is not None
    for message, hours, tried in (
        ("ERROR: could not extend file: No space left on device", 2, False),
        ("ERROR: could not extend file: No space left on device", 25, True),
        ("server restarted", 2, True),
    ):
        cron_db.execute("TRUNCATE cron.job_run_details")
        cron_db.execute("SELECT cron.unschedule('train-vector-index-step')")
        cron_db.execute(
            "INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, return_message,"
            " start_time) VALUES (1, 1, current_database(), current_user, %s, 'failed', %s,"
            " now() - %s * interval '1 hour')",
            (statement.replace("lists = 10", "lists = 11"), message, hours),
        )
        told = notices_of(cron_db)
        assert (train(cron_db) is not None) == tried
        assert any("No space left on device" in one for one in told) == (not tried)
        if not tried:
            assert step_job(cron_db) is None
            cron_db.execute("SELECT cron.schedule('train-vector-index-step', '0 0 1 1 *', 'SELECT 1')")


def test_an_owner_who_may_not_see_the_time_zone_of_pg_cron_gets_a_step_that_comes_in_any(
    server: Server, cron_db: Connection, make_role: MakeRole
) -> None:
    owner = make_role()
    cron_db.execute("SELECT * FROM gravity_memory_teardown()")
    cron_db.execute("DROP EXTENSION gravity_memory")
    cron_db.execute(sql.SQL("CREATE SCHEMA memory AUTHORIZATION {}").format(sql.Identifier(owner)))
    cron_db.execute(sql.SQL("GRANT USAGE ON SCHEMA cron TO {}").format(sql.Identifier(owner)))
    cron_db.execute(
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(cron_db.info.dbname), sql.Identifier(owner))
    )
    with server.connect(cron_db.info.dbname, user=owner) as db:
        db.execute("CREATE EXTENSION gravity_memory SCHEMA memory")
        db.execute("SET search_path = memory, public")
        put(db, "embedding_index_min_rows", 2)
        db.execute(
            "INSERT INTO gravity_map (user_id, embedding) SELECT 'user', array_fill(i, '{1536}')::vector"
            " FROM generate_series(1, 3) AS i"
        )
        statement = train(db)
        assert statement is not None
        due = step_job(db)
        assert due is not None
        assert due[1] == statement
        has_zone = cron_db.execute("SELECT current_setting('cron.timezone', true) IS NOT NULL").fetchone() == (True,)
        if has_zone:
            minutes = [int(minute) for minute in due[0].removesuffix(" * * * *").split(",")]
            assert minutes == [minutes[0] + 15 * quarter for quarter in range(4)]
        else:
            assert due[0].endswith(" *")
        assert train(db) is None
        db.execute(statement.encode())
        assert [index[0] for index in indexes(db)] == NAMES[:1]
        db.execute("SELECT * FROM gravity_memory_teardown()")
        assert step_job(db) is None
