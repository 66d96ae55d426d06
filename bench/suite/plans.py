"""The queries of gravity_memory_index_catalogue() with something to ask for, and how the planner answers them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bench.databases import Connection
from bench.suite.source import HEAVIEST

Probe = dict[str, Any]
_Node = dict[str, Any]

_TABLES = (
    "gravity_map",
    "memory_digests",
    "memory_arcs",
    "memory_arc_associations",
    "consciousness_cache",
    "active_sessions",
    "pattern_matrix",
    "memory_events",
)
OURS_ALONE = ("memory_digests", "memory_events")
"""Tables that only gravity_memory has."""
_SLOW = 300.0
"""Milliseconds from which on nothing is run again to find its pages in memory."""

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")

_CATALOGUE = """
SELECT index_name, table_name, is_unique, definition, serves, in_spec FROM gravity.gravity_memory_index_catalogue()
"""

# The user of the median memory, when memories are sorted by how many their user has.
_MEDIAN = """
SELECT w.user_id
FROM (SELECT m.user_id, sum(count(*)) OVER (ORDER BY count(*), m.user_id) AS up_to, sum(count(*)) OVER () AS total
      FROM source.memories AS m GROUP BY m.user_id) AS w
WHERE 2 * w.up_to >= w.total
ORDER BY w.up_to LIMIT 1
"""

# What a user asks for: the memory is the last one of the session in which they wrote most. The rest is, for the
# heaviest user, a common one of its kind (of names the thirtieth: nobody wants every memory that mentions the
# commonest), and for the median user the one in the middle, so that both ends are met.
_PROBE = """
WITH mine AS (SELECT * FROM gravity.gravity_map AS g WHERE g.user_id = %(user)s),
session AS (SELECT session_id FROM mine GROUP BY session_id ORDER BY count(*) DESC, session_id LIMIT 1),
last AS (
    SELECT * FROM mine WHERE session_id = (SELECT session_id FROM session) ORDER BY created_at DESC, id DESC LIMIT 1
),
ranked (kind, value, place) AS (
    SELECT 'entities', e.name, row_number() OVER (ORDER BY count(*) DESC, e.name) / count(*) OVER ()::double precision
    FROM source.memories AS m, unnest(m.entities) AS e (name) GROUP BY e.name
    UNION ALL
    SELECT 'meta_tags', t.name, row_number() OVER (ORDER BY count(*) DESC, t.name) / count(*) OVER ()::double precision
    FROM source.memories AS m, unnest(m.meta_tags) AS t (name) GROUP BY t.name
    UNION ALL
    SELECT 'temporal_type', m.temporal_type,
           row_number() OVER (ORDER BY count(*) DESC) / count(*) OVER ()::double precision
    FROM source.memories AS m GROUP BY m.temporal_type
    UNION ALL
    SELECT 'pattern_type', p.pattern_type,
           row_number() OVER (ORDER BY count(*) DESC) / count(*) OVER ()::double precision
    FROM gravity.pattern_matrix AS p GROUP BY p.pattern_type
    UNION ALL
    SELECT 'arc_id', a.arc_id::text,
           row_number() OVER (ORDER BY count(*) DESC, a.arc_id) / count(*) OVER ()::double precision
    FROM gravity.memory_arc_associations AS a GROUP BY a.arc_id
), chosen AS (
    SELECT DISTINCT ON (kind) kind, value FROM ranked
    WHERE place >= %(rarity)s AND (kind <> 'entities' OR place >= 0.001) ORDER BY kind, place
)
SELECT l.user_id, l.session_id, l.thread_id, l.memory_trace_id, l.created_at, l.id, l.embedding::text AS embedding,
       (SELECT mode() WITHIN GROUP (ORDER BY emotion_type) FROM mine) AS emotion_type,
       ARRAY[(SELECT value FROM chosen WHERE kind = 'entities')] AS entities,
       ARRAY[(SELECT value FROM chosen WHERE kind = 'meta_tags')] AS meta_tags,
       (SELECT value FROM chosen WHERE kind = 'temporal_type') AS temporal_type,
       (SELECT value FROM chosen WHERE kind = 'pattern_type') AS pattern_type,
       c.arc_id,
       (SELECT memory_id FROM gravity.memory_arc_associations AS a WHERE a.arc_id = c.arc_id LIMIT 1) AS memory_id,
       COALESCE((SELECT query_hash FROM gravity.consciousness_cache AS a WHERE a.user_id = l.user_id
                 ORDER BY created_at DESC LIMIT 1), md5('')) AS query_hash,
       (SELECT max(e.xid::text::bigint) - 20 FROM gravity.memory_events AS e)::text AS xid,
       CASE WHEN %(rarity)s = 0 THEN 'dormant' ELSE 'active' END AS evolution_stage,
       CASE WHEN %(rarity)s = 0 THEN 'ended' ELSE 'active' END AS session_status
FROM last AS l, (SELECT value::uuid AS arc_id FROM chosen WHERE kind = 'arc_id') AS c
"""


@dataclass(frozen=True)
class Index:
    """A row of the catalogue.

    Attributes:
        name, table, is_unique, definition: the index; `definition` is what follows the table's name.
        serves: the query that it is there for, with :parameters.
        in_spec: the specification names it.
    """

    name: str
    table: str
    is_unique: bool
    definition: str
    serves: str
    in_spec: bool

    @property
    def parameters(self) -> set[str]:
        """Names of the query's parameters."""
        return set(_PARAMETER.findall(self.serves))

    @property
    def statement(self) -> str:
        """The query with parameters as psycopg has them."""
        return _PARAMETER.sub(r"%(\1)s", self.serves.replace("%", "%%"))

    def users(self, probes: Mapping[str, Probe]) -> dict[str, Probe]:
        """Whom to ask for: every probe, or only one, called "everybody", when the query takes no parameter."""
        return dict(probes) if self.parameters else {"everybody": next(iter(probes.values()))}


def catalogue(connection: Connection) -> list[Index]:
    """All of it: by table, the specification's indexes first, then by name."""
    found = [Index(*row) for row in connection.execute(_CATALOGUE).fetchall()]
    return sorted(found, key=lambda index: (_TABLES.index(index.table), not index.in_spec, index.name))


def probes(connection: Connection) -> dict[str, Probe]:
    """What the heaviest user and the median user ask for, by parameter name."""
    median = connection.execute(_MEDIAN).fetchone()
    assert median is not None
    found = {}
    with connection.cursor(row_factory=dict_row) as cursor:
        for name, user, rarity in (("heaviest", HEAVIEST, 0.0), ("median", median[0], 0.5)):
            row = cursor.execute(_PROBE, {"user": user, "rarity": rarity}).fetchone()
            assert row is not None
            missing = [key for key, value in row.items() if value is None or value == [None]]
            assert not missing, f"the data has no {missing} for the {name} user"
            found[name] = row
    return found


@dataclass(frozen=True)
class Plan:
    """How a query was answered.

    Attributes:
        nodes: their types, from the top down.
        indexes: names of those that were read.
        scanned: tables that were read from end to end.
        sorted_rows: rows that went into the largest sort; None without a sort.
        returned: rows of the answer.
        milliseconds: of execution.
        pages: of 8 kB that were looked at, in PostgreSQL's cache or not, each time that they were.
    """

    nodes: tuple[str, ...]
    indexes: frozenset[str]
    scanned: frozenset[str]
    sorted_rows: int | None
    returned: int
    milliseconds: float
    pages: int

    def __str__(self) -> str:
        return " < ".join(self.nodes)

    def sorts_in_vain(self, query: str) -> bool:
        """Whether it sorts rows that an index in the order asked for would have spared.

        Any query of the catalogue could have such an index, as each reads one table. A sort of no more rows than the
        query's LIMIT spares nothing, as all of them are wanted.
        """
        limit = re.search(r"\sLIMIT (\d+)\s*$", query)
        return self.sorted_rows is not None and self.sorted_rows > (int(limit[1]) if limit else 1)


def explain(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> Plan:
    """Run a query with EXPLAIN ANALYZE, twice unless it is slow, so that the pages are in memory, and read the plan.

    Args:
        connection: where the tables are those of the contestant in question.
        statement: with named parameters, which become literals.
        parameters: their values.
    """
    text = psycopg.ClientCursor(connection).mogrify(statement.encode(), parameters)
    prefix = "EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT JSON) "
    found = _explained(connection, prefix + text)
    if found["Execution Time"] <= _SLOW:
        found = _explained(connection, prefix + text)
    top: _Node = found["Plan"]
    nodes = list(_nodes(top))
    sorts = [round(child["Actual Rows"] * child["Actual Loops"]) for node in nodes for child in _sorted_by(node)]
    return Plan(
        nodes=tuple(node["Node Type"] for node in nodes),
        indexes=frozenset(node["Index Name"] for node in nodes if "Index Name" in node),
        scanned=frozenset(node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"),
        sorted_rows=max(sorts, default=None),
        returned=round(top["Actual Rows"]),
        milliseconds=found["Execution Time"],
        pages=top["Shared Hit Blocks"] + top["Shared Read Blocks"],
    )


def _explained(connection: Connection, statement: str) -> _Node:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    found: _Node = row[0][0]
    return found


def _nodes(node: _Node) -> Iterator[_Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _sorted_by(node: _Node) -> list[_Node]:
    """What a node sorts; nothing, when it does not sort."""
    return list(node["Plans"]) if node["Node Type"] in ("Sort", "Incremental Sort") else []
