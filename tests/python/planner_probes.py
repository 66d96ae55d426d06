"""Whom and what the planner tests ask about: users of every weight, and values from the commonest to the rare.

A probe maps the parameter names that the queries of gravity_memory_index_catalogue() use to values that occur in the
year of memories (tests/python/planner_data.py).
"""

from __future__ import annotations

import re
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from devtools.fixtures import Connection

Probe = dict[str, Any]

USERS = {"heaviest": 1.0, "heavy": 0.75, "typical": 0.5, "light": 0.02}
"""By whose memories they are, when all memories are sorted by how many their user has: questions come from users in
proportion to what they write. Typical is the user of the median memory."""

_PROBE = """
WITH weighed AS (
    SELECT g.user_id, sum(count(*)) OVER (ORDER BY count(*), g.user_id) / sum(count(*)) OVER () AS place
    FROM gravity_map AS g
    GROUP BY g.user_id
    -- A user of whom every kind of question can be asked.
    HAVING count(g.thread_id) > 0 AND count(g.session_id) > 0 AND count(g.memory_trace_id) > 0
       AND count(g.emotion_type) > 0 AND count(g.embedding) > 0
), probed AS (
    SELECT w.user_id FROM weighed AS w WHERE w.place <= %(share)s ORDER BY w.place DESC LIMIT 1
), entities AS (
    SELECT e.name, row_number() OVER (ORDER BY count(*) DESC, e.name) / count(*) OVER ()::double precision AS place
    FROM gravity_map AS g, unnest(g.entities) AS e (name) GROUP BY e.name
), tags AS (
    SELECT t.name, row_number() OVER (ORDER BY count(*) DESC, t.name) / count(*) OVER ()::double precision AS place
    FROM gravity_map AS g, unnest(g.meta_tags) AS t (name) GROUP BY t.name
), patterns AS (
    SELECT p.pattern_type, row_number() OVER (ORDER BY count(*) DESC) / count(*) OVER ()::double precision AS place
    FROM pattern_matrix AS p GROUP BY p.pattern_type
), times AS (
    SELECT g.temporal_type, row_number() OVER (ORDER BY count(*) DESC) / count(*) OVER ()::double precision AS place
    FROM gravity_map AS g GROUP BY g.temporal_type
), arcs AS (
    SELECT l.arc_id, row_number() OVER (ORDER BY count(*) DESC) / count(*) OVER ()::double precision AS place
    FROM memory_arc_associations AS l GROUP BY l.arc_id
)
SELECT u.user_id, u.thread_id, u.session_id, u.memory_trace_id, u.emotion_type, u.created_at, u.id, u.embedding,
       (SELECT ARRAY[e.name] FROM entities AS e WHERE e.place >= %(rarity)s ORDER BY e.place LIMIT 1) AS entities,
       (SELECT ARRAY[t.name] FROM tags AS t WHERE t.place >= %(rarity)s ORDER BY t.place LIMIT 1) AS meta_tags,
       (SELECT p.pattern_type FROM patterns AS p WHERE p.place >= %(rarity)s ORDER BY p.place LIMIT 1) AS pattern_type,
       (SELECT t.temporal_type FROM times AS t WHERE t.place >= %(rarity)s ORDER BY t.place LIMIT 1) AS temporal_type,
       a.arc_id,
       (SELECT l.memory_id FROM memory_arc_associations AS l WHERE l.arc_id = a.arc_id LIMIT 1) AS memory_id,
       md5(u.user_id) AS query_hash,
       (SELECT max(e.xid::text::bigint) - 20 FROM memory_events AS e)::text AS xid,
       CASE WHEN %(rarity)s < 0.5 THEN 'active' ELSE 'dormant' END AS evolution_stage,
       CASE WHEN %(rarity)s < 0.5 THEN 'ended' ELSE 'active' END AS session_status
FROM (
    SELECT g.user_id, mode() WITHIN GROUP (ORDER BY g.thread_id) AS thread_id,
           mode() WITHIN GROUP (ORDER BY g.session_id) AS session_id,
           mode() WITHIN GROUP (ORDER BY g.memory_trace_id) AS memory_trace_id,
           mode() WITHIN GROUP (ORDER BY g.emotion_type) AS emotion_type,
           max(g.created_at) AS created_at, min(g.id::text) AS id,
           min(g.embedding::text) AS embedding
    FROM gravity_map AS g
    JOIN probed AS p ON p.user_id = g.user_id
    GROUP BY g.user_id
) AS u,
(SELECT a.arc_id FROM arcs AS a WHERE a.place >= %(rarity)s ORDER BY a.place LIMIT 1) AS a
"""


def probes(connection: Connection) -> dict[str, Probe]:
    """One probe for each of USERS. The heavier the user, the commoner the entity, tag and type asked for with it."""
    found = {}
    with connection.cursor(row_factory=dict_row) as cursor:
        for name, share in USERS.items():
            row = cursor.execute(_PROBE, {"share": share, "rarity": 1 - share}).fetchone()
            assert row is not None
            missing = [key for key, value in row.items() if value is None]
            assert not missing, f"the data has no {missing} for the {name} user"
            found[name] = row
    return found


def filled(query: str, probe: Probe, connection: Connection) -> str:
    """A query of the catalogue with its :parameters replaced by literals.

    Raises:
        KeyError: the query has a parameter that probes do not know; add it to this module.
    """

    def literal(match: re.Match[str]) -> str:
        return sql.Literal(probe[match[1]]).as_string(connection)

    return re.sub(r"(?<!:):([a-z_]+)", literal, query)
