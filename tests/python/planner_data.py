"""A year of memories for the planner tests: 100,000 of them, of 3,000 users, made inside the database.

Every value is a function of row numbers (hashed, never random()), so that each run and each PostgreSQL version plans on
the same data. What matters for plans is kept as applications have it:

- users are Zipf-distributed: the heaviest has some 8,700 memories, the median user about ten;
- memories come in sessions of a dozen, a minute or two apart, more of them in recent months, written in the order of
  their time; turns share a trace, sessions share a thread, and each of these is sometimes NULL;
- gravity is skewed low (one in seven reaches 0.7) and sometimes NULL, as are emotions and entities;
- embeddings stand in 200 clusters, and one in eight is still missing;
- one session in sixteen is intense, and moods last for a session: that makes arcs. They are what the triggers build
  week after week, with gravity_memory_evolve_arcs() in between, plus some made by hand.

Of what is derived, memory_digests is filled in one statement at the end, with rows of the right number and width, and
memory_postings is left empty: no index of the catalogue serves a query on it, and deriving 2.7 million rows would take
longer than everything else together.
"""

from __future__ import annotations

from devtools.fixtures import Connection

MEMORIES = 100_000
USERS = 3_000
DIMENSIONS = 64

# Uniform and Zipf-distributed numbers for a row and a purpose, and what numbers are called.
_FUNCTIONS = """
CREATE FUNCTION pg_temp.uniform(p_row bigint, p_purpose bigint) RETURNS double precision LANGUAGE sql IMMUTABLE
AS 'SELECT (hashint8extended(p_row, p_purpose) & 4294967295) / 4294967296.0::double precision';
CREATE FUNCTION pg_temp.zipf(p_row bigint, p_purpose bigint, p_values integer) RETURNS integer LANGUAGE sql IMMUTABLE
AS 'SELECT least(floor(exp(pg_temp.uniform(p_row, p_purpose) * ln(p_values + 1)))::integer, p_values)';
CREATE FUNCTION pg_temp.identifier(p_row bigint, p_purpose bigint) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT (lpad(to_hex(hashint8extended(p_row, p_purpose)), 16, '0')
              || lpad(to_hex(hashint8extended(p_row, -p_purpose)), 16, '0'))::uuid::text $$;
CREATE FUNCTION pg_temp.user_name(p_rank bigint) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT CASE WHEN p_rank % 3 = 0 THEN 'user-' || p_rank ELSE pg_temp.identifier(p_rank, 60) END $$;
CREATE FUNCTION pg_temp.word(p_rank bigint) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT left(to_hex(hashint8extended(p_rank, 61)), 3 + p_rank::integer % 7) $$;
CREATE FUNCTION pg_temp.entity(p_rank bigint) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT COALESCE((ARRAY['Blu', 'Matt', 'Atlas', 'Ivy'])[p_rank], 'Name ' || pg_temp.word(p_rank)) $$;
CREATE FUNCTION pg_temp.emotion(p_rank bigint) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT (ARRAY['neutral', 'joy', 'love', 'sadness', 'hope', 'anger', 'curiosity', 'fear', 'gratitude', 'pride',
                    'relief', 'surprise', 'longing', 'shame', 'trust', 'awe', 'grief', 'calm'])[p_rank] $$;
"""

_PARTS = """
CREATE TEMPORARY TABLE sentences AS
    SELECT n, CASE WHEN n % 6 = 0 THEN 'Yesterday ' WHEN n % 7 = 0 THEN 'Tomorrow I will ' ELSE 'Today ' END
              || string_agg(pg_temp.word(pg_temp.zipf(n * 100 + k, 1, 4000)), ' ' ORDER BY k) || '.' AS sentence
    FROM generate_series(0, 1999) AS n, generate_series(1, 12) AS k
    GROUP BY n;
CREATE TEMPORARY TABLE centres AS
    SELECT n, array_agg(pg_temp.uniform(n * 1000 + d, 2) - 0.5 ORDER BY d)::vector AS centre
    FROM generate_series(0, 199) AS n, generate_series(1, {dimensions}) AS d
    GROUP BY n;
CREATE TEMPORARY TABLE offsets AS
    SELECT n, array_agg((pg_temp.uniform(n * 1000 + d, 3) - 0.5) * 0.6 ORDER BY d)::vector AS step
    FROM generate_series(0, 996) AS n, generate_series(1, {dimensions}) AS d
    GROUP BY n;
ANALYZE sentences, centres, offsets;
"""

_DRAFTS = """
CREATE TEMPORARY TABLE drafts AS
    SELECT i, d.rank, d.turn, d.turn / 12 AS session,
           pg_temp.uniform(d.rank * 10000 + d.turn / 12, 28) < 0.06 AS is_intense,
           -- Sessions are spread over the year, denser towards its end; turns follow each other within minutes.
           now() - interval '1 second' - (
               interval '365 days' * power(1 - (d.turn / 12 + pg_temp.uniform(d.rank * 10000 + d.turn / 12, 4))
                                               / (d.total / 12 + 1), 1.5))
             - interval '100 seconds' * (11 - d.turn % 12) AS created_at
    FROM (
        SELECT i, r.rank, row_number() OVER (PARTITION BY r.rank ORDER BY i) - 1 AS turn,
               count(*) OVER (PARTITION BY r.rank) AS total
        FROM generate_series(1, {memories}) AS i, LATERAL (SELECT pg_temp.zipf(i, 5, {users}) AS rank) AS r
    ) AS d;
ANALYZE drafts;
"""

# One week's memories; `age` is how many weeks ago it ended.
_WEEK = """
INSERT INTO gravity_map (user_id, thread_id, session_id, memory_trace_id, content, summary, topic, gravity_score,
                         emotion_type, entities, meta_tags, embedding, metadata, created_at, updated_at)
SELECT pg_temp.user_name(d.rank),
       CASE WHEN pg_temp.uniform(d.rank * 10000 + d.session / 5, 6) > 0.08
            THEN pg_temp.identifier(d.rank * 10000 + d.session / 5, 62) END,
       CASE WHEN pg_temp.uniform(d.rank * 10000 + d.session, 7) > 0.05
            THEN 'session-' || pg_temp.identifier(d.rank * 10000 + d.session, 63) END,
       CASE WHEN pg_temp.uniform(d.i, 8) > 0.1 THEN pg_temp.identifier(d.rank * 10000 + d.turn / 4, 64) END,
       CASE WHEN pg_temp.uniform(d.i, 9) > 0.01 THEN s.sentence || ' ' || t.sentence END,
       CASE WHEN pg_temp.uniform(d.i, 12) < 0.1 THEN s.sentence END,
       CASE WHEN pg_temp.uniform(d.i, 14) < 0.2 THEN pg_temp.word(pg_temp.zipf(d.i, 15, 4000)) END,
       CASE WHEN pg_temp.uniform(d.i, 16) > 0.02
            THEN round(power(pg_temp.uniform(d.i, 17), CASE WHEN d.is_intense THEN 0.5 ELSE 3 END)::numeric, 3)
                 ::double precision END,
       -- Two turns in three are in the mood of their session.
       CASE WHEN pg_temp.uniform(d.i, 18) < 0.67 THEN pg_temp.emotion(pg_temp.zipf(d.rank * 10000 + d.session, 29, 18))
            WHEN pg_temp.uniform(d.i, 18) < 0.92 THEN pg_temp.emotion(pg_temp.zipf(d.i, 19, 18)) END,
       CASE WHEN pg_temp.uniform(d.i, 20) < 0.3 THEN NULL
            WHEN pg_temp.uniform(d.i, 20) < 0.45 THEN '{}'
            WHEN pg_temp.uniform(d.i, 20) < 0.455 THEN '{Ivy,Blu,Matt,Atlas}'
            ELSE ARRAY(SELECT pg_temp.entity(pg_temp.zipf(d.i * 10 + k, 21, 3000))
                       FROM generate_series(1, 1 + floor(pg_temp.uniform(d.i, 22) * 3)::integer) AS k) END,
       CASE WHEN pg_temp.uniform(d.i, 23) < 0.02 THEN NULL
            WHEN pg_temp.uniform(d.i, 23) < 0.35 THEN ARRAY['topic:' || pg_temp.word(pg_temp.zipf(d.i, 24, 300))]
            ELSE '{}' END,
       CASE WHEN pg_temp.uniform(d.i, 25) > 0.125 THEN c.centre + o.step END,
       jsonb_build_object('role', CASE WHEN d.i % 2 = 0 THEN 'user' ELSE 'assistant' END, 'tokens', 20 + d.i % 60),
       d.created_at, d.created_at
FROM drafts AS d
JOIN centres AS c ON c.n = floor(pg_temp.uniform(d.i, 26) * 200)::integer
JOIN offsets AS o ON o.n = floor(pg_temp.uniform(d.i, 27) * 997)::integer
JOIN sentences AS s ON s.n = floor(pg_temp.uniform(d.i, 10) * 2000)::integer
JOIN sentences AS t ON t.n = floor(pg_temp.uniform(d.i, 11) * 2000)::integer
WHERE d.created_at > now() - interval '7 days' * (%(age)s + 1) AND d.created_at <= now() - interval '7 days' * %(age)s
ORDER BY d.created_at
"""
_EVOLVE = "SELECT gravity_memory_evolve_arcs(now() - interval '7 days' * %(age)s)"

_THE_REST = """
INSERT INTO memory_arcs (user_id, arc_name, emotion_type, gravity_center, evolution_stage, memory_count, last_memory_at,
                         created_at)
SELECT pg_temp.user_name(pg_temp.zipf(n, 30, {users})), pg_temp.word(pg_temp.zipf(n, 31, 4000)) || ' arc',
       CASE WHEN n % 3 = 0 THEN pg_temp.emotion(pg_temp.zipf(n, 32, 18)) END,
       pg_temp.uniform(n, 33), (ARRAY['dormant', 'mature', 'dormant', 'active', 'dormant', 'forming'])[1 + n % 6], 0,
       now() - interval '365 days' * pg_temp.uniform(n, 34), now() - interval '365 days' * pg_temp.uniform(n, 34)
FROM generate_series(1, 2000) AS n;

INSERT INTO memory_arc_associations (memory_id, arc_id, user_id, fusion_strength)
SELECT m.id, a.id, a.user_id, round(pg_temp.uniform(hashtext(a.arc_name), 35)::numeric, 2)
FROM memory_arcs AS a,
     LATERAL (SELECT g.id FROM gravity_map AS g
              WHERE g.user_id = a.user_id AND g.created_at <= a.created_at
              ORDER BY g.created_at DESC LIMIT 1 + abs(hashtext(a.arc_name)) % 6) AS m
WHERE a.arc_name NOT LIKE '% (auto-created)';

-- The application's arcs grow old as all others do.
SELECT gravity_memory_evolve_arcs();

INSERT INTO consciousness_cache (user_id, query_hash, query_text, response, confidence, accessed_count, last_accessed,
                                 created_at)
SELECT pg_temp.user_name(pg_temp.zipf(r.n, 40, {users})), pg_temp.identifier(pg_temp.zipf(r.n, 41, 5000), 65),
       s.sentence, s.sentence || t.sentence, pg_temp.uniform(r.n, 42), r.n % 5, now(),
       now() - interval '25 hours' * (1 - r.n / 15000.0)
FROM generate_series(1, 15000) AS r (n)
JOIN sentences AS s ON s.n = r.n % 2000
JOIN sentences AS t ON t.n = r.n % 1999
ORDER BY r.n;

INSERT INTO active_sessions (session_id, user_id, thread_id, session_status, message_count, current_mode, started_at,
                             last_message_at)
SELECT g.session_id, min(g.user_id), min(g.thread_id),
       CASE WHEN max(g.created_at) > now() - interval '2 hours' THEN 'active'
            WHEN max(g.created_at) > now() - interval '2 days' THEN 'idle' ELSE 'ended' END,
       count(*), 'chat', min(g.created_at), max(g.created_at)
FROM gravity_map AS g
WHERE g.session_id IS NOT NULL
GROUP BY g.session_id
ORDER BY min(g.created_at);

INSERT INTO pattern_matrix (user_id, pattern_type, description, intensity, instances, first_detected, last_observed)
SELECT pg_temp.user_name(pg_temp.zipf(r.n, 50, {users})),
       (ARRAY['recurring_theme', 'emotional_loop', 'behavioral_pattern', 'relationship_dynamic',
              'contradiction_pattern', 'breakthrough', 'growth_edge', 'avoidance'])[pg_temp.zipf(r.n, 51, 8)],
       s.sentence, pg_temp.uniform(r.n, 52),
       jsonb_build_object('memory_ids', jsonb_build_array(gen_random_uuid())), now() - interval '30 days', now()
FROM generate_series(1, 12000) AS r (n)
JOIN sentences AS s ON s.n = r.n % 2000;
"""


_DIGESTS = """
INSERT INTO memory_digests (user_id, memory_id, length, signature, term_keys)
SELECT m.user_id, m.id, w.length, binary_quantize(m.embedding),
       array_fill(hashtextextended(m.id::text, 0), ARRAY[w.length + 3])
FROM gravity_map AS m
CROSS JOIN LATERAL (SELECT cardinality(string_to_array(COALESCE(m.content, ''), ' '))) AS w (length)
"""


# A year of events, each of a transaction of its own; the numbers are those of old transactions.
_EVENTS = """
INSERT INTO memory_events (user_id, xid, event, subject_id, payload, wakes, created_at)
SELECT m.user_id, (row_number() OVER (ORDER BY m.created_at, m.id))::text::xid8, 'memory_created', m.id,
       jsonb_build_object('id', m.id, 'user_id', m.user_id, 'content', m.content), false, m.created_at
FROM gravity_map AS m
"""


def load(connection: Connection) -> None:
    """Fill the tables of a database that was made with `DIMENSIONS` dimensions, then VACUUM and ANALYZE.

    Args:
        connection: autocommit, as the tables' owner. The triggers run. Takes some 15 seconds.
    """
    # Compiling the statements below would take several times as long as running them; plans are made without this.
    connection.execute("SET jit = off")
    for script in (_FUNCTIONS, _PARTS, _DRAFTS):
        connection.execute(_sized(script))
    connection.execute("ALTER TABLE gravity_map DISABLE TRIGGER trigger_keep_derived")
    # All weeks in one transaction share one now(), and the weeks meet without a gap.
    with connection.transaction():
        for age in reversed(range(53)):
            connection.execute(_sized(_WEEK.replace("%(age)s", str(age))))
            connection.execute(_EVOLVE, {"age": age})
    connection.execute(_sized(_THE_REST))
    connection.execute(_DIGESTS)
    connection.execute(_EVENTS)
    connection.execute("ALTER TABLE gravity_map ENABLE TRIGGER trigger_keep_derived")
    # VACUUM also empties GIN's pending list, which every search would read through.
    connection.execute("VACUUM ANALYZE")
    # ivfflat learns its lists when it is built, so that it is built when there are rows.
    for (statement,) in connection.execute("SELECT gravity_memory_vector_index_ddl()").fetchall():
        connection.execute(statement)
    connection.execute("RESET jit")


def _sized(script: str) -> bytes:
    sizes = {"{dimensions}": DIMENSIONS, "{memories}": MEMORIES, "{users}": USERS}
    for name, value in sizes.items():
        script = script.replace(name, str(value))
    return script.encode()
