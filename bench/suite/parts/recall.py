"""Similarity search: in one user's memories, of users small and large, and across users."""

from __future__ import annotations

import contextlib
import itertools
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bench.databases import Connection
from bench.suite.bench import Bench, Stage
from bench.suite.contestants import GRAVITY, PLAIN, SPEC, Contestant, use
from bench.suite.exact import nearest
from bench.suite.latency import Latency, latencies
from bench.suite.part import Part
from bench.suite.results import Cell, Goal, Plot, Result, Table
from bench.suite.source import HEAVIEST
from bench.vectors import Embeddings, Vectors, literal

_COUNT = 10
_RECALL = 0.95
_LIMIT = 100.0
_WHY = (
    "Lists differ in size, and so do calls; the setting embedding_probes trades recall, of which there is more than is "
    "asked for, against time."
)
_SIZES = {"small": 10, "medium": 200, "heavy": 5_000}
_JUDGED_FROM = 100_000
_NOISE = 0.5

_OF_USER = "SELECT id FROM gravity_map WHERE user_id = %(user)s ORDER BY embedding <=> %(vector)s LIMIT 10"
_OF_ALL = "SELECT id FROM gravity_map ORDER BY embedding <=> %(vector)s LIMIT 10"
_EXACT = "SELECT id FROM gravity_map WHERE user_id = %(user)s ORDER BY (embedding <=> %(vector)s) + 0 LIMIT 10"


@dataclass(frozen=True)
class _Search:
    """One way to search.

    Attributes:
        name: in tables.
        contestant: whose tables it reads.
        statement: with the parameters user, vector and words.
        settings: of its session.
        has_recall: whether its answer is to be the exact one; recall_memories() answers another question.
        has_plan: whether it is a plain statement, whose plan tells something.
    """

    name: str
    contestant: Contestant
    statement: str
    settings: str = ""
    has_recall: bool = True
    has_plan: bool = True


_MATCH = "gravity_memory: match_memories()"
_ALL = "gravity_memory: gravity_memory_search_all()"
_ITERATIVE = "SET hnsw.iterative_scan = relaxed_order"
_USER_SEARCHES = (
    _Search(
        _MATCH,
        GRAVITY,
        "SELECT id FROM match_memories(%(vector)s, -1, 10, %(user)s)",
        has_plan=False,
    ),
    _Search(
        "gravity_memory: recall_memories()",
        GRAVITY,
        "SELECT id FROM recall_memories(%(user)s, %(words)s, %(vector)s, 10)",
        has_recall=False,
        has_plan=False,
    ),
    _Search("exact scan of the user's memories", GRAVITY, _EXACT),
    _Search("the specification: ivfflat", SPEC, _OF_USER),
    _Search("plain pgvector: HNSW", PLAIN, _OF_USER),
    _Search("plain pgvector: HNSW, iterative scan", PLAIN, _OF_USER, _ITERATIVE),
)
_ALL_SEARCHES = (
    _Search(_ALL, GRAVITY, "SELECT id FROM gravity_memory_search_all(%(vector)s, -1, 10)", has_plan=False),
    _Search("the specification: ivfflat", SPEC, _OF_ALL),
    _Search("plain pgvector: HNSW", PLAIN, _OF_ALL),
)

# The user whose number of memories comes closest, not the heaviest.
_USER = """
SELECT m.user_id, count(*) FROM source.memories AS m WHERE m.user_id <> %(heaviest)s
GROUP BY m.user_id ORDER BY abs(count(*) - %(size)s), m.user_id LIMIT 1
"""
_STORED = """
SELECT m.content, m.embedding::text FROM source.memories AS m WHERE m.user_id = %(user)s OR %(user)s IS NULL
ORDER BY md5(m.n::text) LIMIT %(count)s
"""
_SOME = """
SELECT m.content, m.embedding::text FROM source.memories AS m
WHERE m.n IN (SELECT k * (SELECT max(n) FROM source.memories) / %(count)s FROM generate_series(0, %(count)s - 1) AS k)
"""


@dataclass(frozen=True)
class _Found:
    """What one way to search gave for one kind of user.

    Attributes:
        latency: see there.
        recall: mean share of the exact answer that was found; None for a search that answers something else.
        plan: indexes that the planner took, or what it did without one; "" for functions.
    """

    latency: Latency
    recall: float | None
    plan: str


class Recall(Part):
    """Searches for what is near to something stored."""

    name: ClassVar[str] = "recall"
    title: ClassVar[str] = "Similarity search"

    def __init__(self) -> None:
        self._memories = 0
        self._dimensions = 0
        self._lists = ""
        self._of_users: dict[tuple[str, int], dict[str, _Found]] = {}
        self._of_all: dict[str, _Found] = {}
        self._queries = 0

    def measure(self, bench: Bench, stage: Stage) -> None:
        """User by user, then across users."""
        self._memories, self._dimensions = stage.memories, stage.dimensions
        self._queries = min(100, bench.scale.queries)
        random = np.random.default_rng(3)
        noise = Embeddings(stage.dimensions, seed=7)
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(bench.server.connect(stage.database))
            users = [
                (kind, *_row(connection, _USER, {"heaviest": HEAVIEST, "size": size}))
                for kind, size in _SIZES.items()
                if size * 25 < stage.memories
            ]
            heaviest = _row(
                connection, "SELECT count(*) FROM source.memories WHERE user_id = %(user)s", {"user": HEAVIEST}
            )
            users.append(("heaviest", HEAVIEST, *heaviest))
            connections = {}
            for search in (*_USER_SEARCHES, *_ALL_SEARCHES):
                opened = stack.enter_context(bench.server.connect(stage.database))
                use(opened, search.contestant)
                # Planned anew for each user: prepared, PostgreSQL soon plans for users of whom it knows nothing.
                opened.prepare_threshold = None
                opened.execute(search.settings.encode())
                connections[search.name] = opened
            for kind, user, size in users:
                bench.say(
                    f"   a {kind} user: {size:,} memories"
                    if kind != "heaviest"
                    else f"   the heaviest user: {size:,} memories"
                )
                stored = connection.execute(_STORED, {"user": user, "count": self._queries}).fetchall()
                # A user with few memories is asked for each of them several times, with other noise.
                stored = [stored[number % len(stored)] for number in range(self._queries)]
                self._of_users[kind, size] = self._compare(
                    bench, connection, connections, _USER_SEARCHES, stored, noise, random, user
                )
            bench.say("   across users")
            stored = connection.execute(_SOME, {"count": self._queries}).fetchall()
            self._of_all = self._compare(bench, connection, connections, _ALL_SEARCHES, stored, noise, random, None)

    def _compare(
        self,
        bench: Bench,
        connection: Connection,
        connections: Mapping[str, Connection],
        searches: Sequence[_Search],
        stored: Sequence[tuple[Any, ...]],
        noise: Embeddings,
        random: np.random.Generator,
        user: str | None,
    ) -> dict[str, _Found]:
        vectors = _perturbed(stored, noise)
        condition = "true" if user is None else f"user_id = '{user}'"
        right = nearest(connection, condition, self._dimensions, vectors, _COUNT)
        calls = [
            {"user": user, "vector": literal(vector), "words": _some_words(content, random)}
            for vector, (content, _) in zip(vectors, stored, strict=True)
        ]
        shares: dict[str, list[float]] = {search.name: [] for search in searches}
        # Slow ones are called fewer times, yet often enough to tell their recall.
        times = latencies(
            connections,
            {search.name: search.statement for search in searches},
            calls,
            patience=5 * bench.scale.patience,
            keep=_sharing(shares, right),
        )
        return {
            search.name: _Found(
                times[search.name],
                float(np.mean(shares[search.name])) if search.has_recall else None,
                _plan(connections[search.name], search.statement, calls[0]) if search.has_plan else "",
            )
            for search in searches
        }

    def result(self, bench: Bench) -> Result:
        """A table and a plot of each kind of search."""
        tables = [
            self._table(f"{_whom(kind)}: {size:,} of {self._memories:,} memories", found)
            for (kind, size), found in self._of_users.items()
        ]
        tables.append(self._table(f"Across users: {self._memories:,} memories", self._of_all))
        return Result(
            part=self.name,
            title=self.title,
            method=(
                f"{self._memories:,} memories of {self._dimensions} dimensions; the ten nearest by cosine, no "
                "threshold. A query is the embedding of a stored memory of the same user plus half of another "
                f"vector, which no memory has; up to {self._queries} queries, fewer of what is slow. Recall is the "
                "share of the exact answer, computed outside of PostgreSQL. The specification's ivfflat index has "
                "100 lists, is created with the empty table, and is searched with the default of one probe; HNSW "
                "is as pgvector builds and searches it by default, and once more with iterative scans. "
                "recall_memories() searches by words and neighbouring turns as well, so that it has no recall to "
                "compare. Times are the client's, all searches in turn, warm. Statements are not prepared, so that "
                "plain queries are planned for the user in question: prepared, PostgreSQL plans them for a user of "
                "average size and compares all memories of a heavy one, which is the row of the exact scan."
            ),
            tables=tuple(tables),
            goals=self._goals(),
            plots=self._plots(),
        )

    def _table(self, title: str, found: Mapping[str, _Found]) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for name, one in found.items():
            latency = one.latency
            recall = None if one.recall is None else f"{one.recall:.3f}"
            rows.append((name, recall, latency.fewest, latency.rows, latency.p50, latency.p99, latency.calls, one.plan))
        header = ("search", "recall@10", "fewest rows", "median rows", "p50 ms", "p99 ms", "calls", "index taken")
        return Table(title, header, tuple(rows))

    def _plots(self) -> tuple[Plot, ...]:
        times: dict[str, list[tuple[float | str, float]]] = {}
        recalls: dict[str, list[tuple[float | str, float]]] = {}
        for (kind, size), found in self._of_users.items():
            for name, one in found.items():
                times.setdefault(name, []).append((size, one.latency.p50))
                if one.recall is not None:
                    recalls.setdefault(name, []).append((f"{kind}\n{size:,}", one.recall))
        return (
            Plot(
                "recall-time",
                f"Ten nearest memories of one user, among {self._memories:,}",
                "memories of the user",
                "p50 ms",
                {name: tuple(points) for name, points in times.items()},
                log_x=True,
                log_y=True,
            ),
            Plot(
                "recall-share",
                f"Recall@10 for one user, among {self._memories:,} memories",
                "memories of the user",
                "recall@10",
                {name: tuple(points) for name, points in recalls.items() if "exact scan" not in name},
                kind="bars",
                limit=_RECALL,
            ),
        )

    def _goals(self) -> tuple[Goal, ...]:
        goals = []
        for (kind, size), found in self._of_users.items():
            one = found[_MATCH]
            assert one.recall is not None
            wanted = min(_COUNT, size)
            goals.append(
                Goal(
                    f"match_memories() for {_whom(kind, 'a')} ({size:,} memories)",
                    f"recall at least {_RECALL:.2f}, {wanted} rows",
                    f"recall {one.recall:.3f}, at least {one.latency.fewest} rows",
                    one.recall >= _RECALL and one.latency.fewest >= wanted,
                )
            )
        across = self._of_all[_ALL]
        assert across.recall is not None
        what = f"gravity_memory_search_all(), {self._memories:,} memories"
        goals.append(
            Goal(f"recall of {what}", f"at least {_RECALL:.2f}", f"{across.recall:.3f}", across.recall >= _RECALL)
        )
        p99 = across.latency.p99
        met = p99 < _LIMIT if self._memories >= _JUDGED_FROM else None
        why = f"p50: {across.latency.p50:.0f} ms." if met is not False else f"p50: {across.latency.p50:.0f} ms. {_WHY}"
        goals.append(Goal(f"p99 of {what}", f"less than {_LIMIT:.0f} ms", f"{p99:.1f} ms", met, why))
        return tuple(goals)


def _whom(kind: str, article: str = "A") -> str:
    the = "the" if article == "a" else "The"
    return f"{the} heaviest user" if kind == "heaviest" else f"{article} {kind} user"


def _row(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    row = connection.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    return row


def _perturbed(stored: Sequence[tuple[Any, ...]], noise: Embeddings) -> Vectors:
    """Vectors near to stored ones: shape (stored, dimensions), of length 1."""
    vectors = np.array([np.fromstring(text.strip("[]"), dtype=np.float32, sep=",") for _, text in stored])
    vectors += np.float32(_NOISE) * noise.draw(len(stored))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def _some_words(content: str, random: np.random.Generator) -> str:
    """A question in up to six of a memory's words."""
    words = content.split()
    return " ".join(words[place] for place in sorted(random.permutation(len(words))[:6]))


def _sharing(
    shares: dict[str, list[float]], right: Sequence[Sequence[uuid.UUID]]
) -> Callable[[str, int, list[tuple[Any, ...]]], None]:
    """Notes which share of the right answer a search gave."""

    def keep(name: str, number: int, rows: list[tuple[Any, ...]]) -> None:
        shares[name].append(len({row[0] for row in rows} & set(right[number])) / len(right[number]))

    return keep


def _plan(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> str:
    lines = connection.execute(f"EXPLAIN {statement}".encode(), parameters).fetchall()
    text = "\n".join(line for (line,) in lines)
    words = text.replace("\n", " ").split()
    taken = {
        after
        for before, after in itertools.pairwise(words)
        if before in ("using", "on") and after.startswith(("idx_", "gravity_map_"))
    }
    return ", ".join(sorted(taken)) or "none"
