"""Hybrid recall: questions whose answer is not what resembles them most, and how the score comes about."""

import math
from typing import Any, LiteralString

from psycopg import sql

from demo.claims import claim
from demo.sample_data import Query
from demo.stage import Stage
from demo.store import Connection
from demo.terminal import Column

#: How many memories are recalled; an answer further down is not found.
RECALLED = 3

#: More than any user has: where does the answer stand in the whole list?
EVERYTHING = 1000

RECALL: LiteralString = """
SELECT score, semantic_score, lexical_score, neighbour_score, gravity_component, recency_component, content
FROM recall_memories(%(user)s, %(text)s, %(query)s::vector, p_limit => %(limit)s)
"""

BY_MEANING: LiteralString = """
SELECT content FROM match_memories(%(query)s::vector, -1, %(limit)s, %(user)s)
"""

BY_WORDS: LiteralString = """
SELECT content FROM recall_memories(%(user)s, %(text)s, p_limit => %(limit)s, p_neighbour_weight => 0)
"""

WEIGHED: LiteralString = """
SELECT score, semantic_score, lexical_score, neighbour_score, gravity_component, recency_component, content
FROM recall_memories(%(user)s, %(text)s, %(query)s::vector, p_limit => %(limit)s, p_gravity_weight => 0.1,
    p_recency_weight => 0.3, p_half_life => '14 days')
"""

EXPLAIN: LiteralString = """
SELECT e.verdict, e.explanation, e.similarity, e.bm25, m.content, e.rank
FROM gravity_map AS m CROSS JOIN gravity_memory_explain_recall(%(user)s, %(text)s, %(query)s::vector,
    p_limit => %(limit)s, p_memory_id => m.id) AS e
WHERE m.user_id = %(user)s AND m.content = %(content)s
"""

COMPONENTS = ("score", "semantic", "lexical", "neighbour", "gravity", "recency")


def show(stage: Stage) -> None:
    """Asks the questions that have an answer three ways, shows the scores, and explains one memory left out."""
    terminal, connection = stage.terminal, stage.connection
    questions = [query for query in stage.data.queries if query.answer is not None]
    terminal.heading("Recall: meaning, words and the turns around")
    terminal.say(
        "The same questions by meaning alone (match_memories), by words alone (BM25), and by recall_memories, which "
        "takes both and lets each turn of a conversation lend to its neighbours. Where in each list the memory stands "
        f"that answers the question, of which {RECALLED} are asked for:"
    )
    places = [_places(connection, query) for query in questions]
    missed = sum(by_meaning is None or by_meaning > RECALLED for by_meaning, _, _ in places)
    recalled = sum(place is not None and place <= RECALLED for _, _, place in places)
    claim(missed > 0, "the search by meaning alone finds every answer: the questions show nothing")
    claim(recalled == len(questions), f"recall_memories finds {recalled} of {len(questions)} answers")
    terminal.table(
        [
            Column("user"),
            Column("question", flexible=True),
            Column("by meaning", right=True),
            Column("by words", right=True),
            Column("recall", right=True),
        ],
        [(query.user_id, query.text, *found) for query, found in zip(questions, places, strict=True)],
    )
    terminal.line()
    terminal.say(
        f"Among {RECALLED} memories, meaning alone misses {missed} of {len(questions)} answers, recall none. What is "
        "recalled, with the components that add up to its score; the answer is marked:"
    )
    terminal.sql(_as_typed(connection, RECALL))
    for query in questions:
        terminal.line()
        terminal.say(f'{query.user_id}: "{query.text}"')
        _show_components(stage, _recalled(connection, RECALL, query), query.answer)
    _show_what_was_left_out(stage, questions[0])
    _show_gravity_and_recency(stage)


def _places(connection: Connection, query: Query) -> list[int | None]:
    """Where the question's answer stands by meaning, by words, and in the recall: from 1, None for nowhere."""
    parameters = {"user": query.user_id, "text": query.text, "query": query.embedding, "limit": EVERYTHING}
    places: list[int | None] = []
    for statement in (BY_MEANING, BY_WORDS):
        contents = [row[0] for row in connection.execute(statement, parameters).fetchall()]
        places.append(contents.index(query.answer) + 1 if query.answer in contents else None)
    contents = [row[-1] for row in _recalled(connection, RECALL, query, EVERYTHING)]
    places.append(contents.index(query.answer) + 1 if query.answer in contents else None)
    return places


def _recalled(
    connection: Connection, statement: LiteralString, query: Query, limit: int = RECALLED
) -> list[tuple[Any, ...]]:
    """The rows of a recall: score, its five components, content. ClaimError unless they add up and are in order."""
    parameters = {"user": query.user_id, "text": query.text, "query": query.embedding, "limit": limit}
    rows = connection.execute(statement, parameters).fetchall()
    for score, *components, _ in rows:
        claim(math.isclose(score, sum(components), abs_tol=1e-9), f"{components} do not add up to {score}")
    claim(rows == sorted(rows, key=lambda row: -row[0]), f"what was recalled for {query.text!r} is not in order")
    return rows


def _show_components(stage: Stage, rows: list[tuple[Any, ...]], answer: str | None = None) -> None:
    stage.terminal.table(
        [*(Column(name, right=True) for name in COMPONENTS), Column(""), Column("memory", flexible=True)],
        [(*(f"{value:.3f}" for value in row[:-1]), "*" if row[-1] == answer else "", row[-1]) for row in rows],
    )


def _show_what_was_left_out(stage: Stage, query: Query) -> None:
    """Explains the memory that resembles the question most among those that are not in the answer."""
    terminal, connection = stage.terminal, stage.connection
    parameters = {"user": query.user_id, "text": query.text, "query": query.embedding, "limit": EVERYTHING}
    everything = [row[-1] for row in _recalled(connection, RECALL, query, EVERYTHING)]
    near = [row[0] for row in connection.execute(BY_MEANING, parameters).fetchall()]
    content = next(one for one in near if one not in everything[:RECALLED])
    rows = connection.execute(EXPLAIN, {**parameters, "limit": RECALLED, "content": content}).fetchall()
    claim(len(rows) == 1, f"{len(rows)} memories have the content {content!r}")
    verdict, explanation, similarity, bm25, _, rank = rows[0]
    claim(verdict == "below limit", f"a memory that is not in the answer is said to be {verdict!r}")
    claim(rank == everything.index(content) + 1, f"the memory in place {everything.index(content) + 1} is given {rank}")
    terminal.line()
    terminal.say(
        f'Why not "{content}", number {near.index(content) + 1} by meaning? The database explains: verdict '
        f"'{verdict}', similarity {similarity:.3f}, BM25 {'none' if bm25 is None else f'{bm25:.2f}'}. {explanation}"
    )
    terminal.sql(
        "SELECT verdict, similarity, bm25, explanation FROM gravity_memory_explain_recall(:user, :text, :query, "
        "p_limit => :limit, p_memory_id => :id)"
    )


def _show_gravity_and_recency(stage: Stage) -> None:
    """Lets gravity and recency weigh in on the first sentence, where newer memories are wanted."""
    terminal, connection = stage.terminal, stage.connection
    query = stage.data.queries[0]
    before = _recalled(connection, RECALL, query)
    rows = _recalled(connection, WEIGHED, query)
    ages = [_mean_age(connection, query, [row[-1] for row in answer]) for answer in (before, rows)]
    claim(ages[1] < ages[0], f"with a weight on recency the answers are {ages[1]} days old, without it {ages[0]}")
    claim(all(row[4] > 0 and row[5] > 0 for row in rows), "gravity or recency has no share in a score")
    terminal.line()
    terminal.say(
        "Gravity and recency weigh nothing unless asked to. With some of both, what is recalled is "
        f"{ages[1]:.0f} instead of {ages[0]:.0f} days old on average:"
    )
    terminal.sql(_as_typed(connection, WEIGHED))
    terminal.line()
    terminal.say(f'{query.user_id}: "{query.text}"')
    _show_components(stage, rows)


def _mean_age(connection: Connection, query: Query, contents: list[str]) -> float:
    """The mean age of a user's memories with these contents, in days."""
    rows = connection.execute(
        "SELECT avg(extract(epoch FROM now() - created_at) / 86400)::float8 FROM gravity_map "
        "WHERE user_id = %s AND content = ANY (%s)",
        (query.user_id, contents),
    ).fetchall()
    return float(rows[0][0])


def _as_typed(connection: Connection, statement: LiteralString) -> str:
    """A statement with :name for its parameters, as psql takes them."""
    shown = sql.SQL(statement).as_string(connection)
    for name in ("user", "text", "query", "limit"):
        shown = shown.replace(f"%({name})s", f":{name}")
    return shown
