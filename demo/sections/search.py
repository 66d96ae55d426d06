"""Similarity search with sentences, over one user's memories each."""

import time
from typing import LiteralString

from psycopg import sql

from demo import store
from demo.claims import claim
from demo.sample_data import nearest
from demo.stage import Stage
from demo.terminal import Column

NEAREST = 3

#: How many memories are asked for to show that as many come: fewer, and more, than any of the users has.
ASKED = (10, 50, 1000)

#: Whatever is most similar is wanted here, however similar it is: -1 lets everything through.
SIMILAR: LiteralString = """
SELECT round(similarity::numeric, 3), to_char(created_at, 'Mon DD'), content
FROM match_memories(%(query)s::vector, match_threshold => -1, match_count => %(limit)s, user_id => %(user)s)
"""

#: The same by comparing all of the user's memories; no index serves this order.
COMPARED: LiteralString = """
SELECT content FROM gravity_map WHERE user_id = %(user)s AND embedding IS NOT NULL
ORDER BY 1 - (embedding <=> %(query)s::vector) DESC, id LIMIT %(limit)s
"""


def show(stage: Stage) -> None:
    """Searches for the sample's sentences, and checks the answers against those computed from the sample files."""
    terminal, connection = stage.terminal, stage.connection
    terminal.heading("Search by meaning")
    terminal.say(
        "Each sentence was turned into a vector by the same model as the memories. Found are the nearest memories of "
        "that person by cosine similarity: the same ones as computed outside of the database."
    )
    shown = sql.SQL(SIMILAR).as_string(connection)
    for name in ("user", "query", "limit"):
        shown = shown.replace(f"%({name})s", f":{name}")
    terminal.sql(shown)
    for query in stage.data.queries:
        if query.answer is not None:
            continue
        parameters = {"query": query.embedding, "user": query.user_id, "limit": NEAREST}
        started = time.perf_counter()
        rows = connection.execute(SIMILAR, parameters).fetchall()
        milliseconds = (time.perf_counter() - started) * 1000
        claim(
            [row[2] for row in rows] == [memory.columns["content"] for memory in nearest(stage.data, query, NEAREST)],
            f"the search for {query.text!r} did not find the memories that are nearest",
        )
        terminal.line()
        terminal.say(f'{query.user_id}: "{query.text}" ({milliseconds:.1f} ms)')
        columns = [Column("similarity", right=True), Column("day"), Column("memory")]
        for row in rows:
            terminal.row(columns, [7, 6, terminal.width - 20], row)
    _show_that_as_many_come_as_asked(stage)


def _show_that_as_many_come_as_asked(stage: Stage) -> None:
    """Asks for few and for many, and compares with the exact answer; then says why no vector index is involved."""
    terminal, connection = stage.terminal, stage.connection
    counts = []
    for query in stage.data.queries:
        if query.answer is not None:
            continue
        embedded = store.value(
            connection,
            "SELECT count(embedding) FROM gravity_map WHERE user_id = %(user)s",
            {"user": query.user_id},
        )
        found = []
        for asked in ASKED:
            parameters = {"query": query.embedding, "user": query.user_id, "limit": asked}
            answer = [row[2] for row in connection.execute(SIMILAR, parameters).fetchall()]
            exact = [row[0] for row in connection.execute(COMPARED, parameters).fetchall()]
            claim(len(answer) == min(asked, embedded), f"asked for {asked} of {embedded}, {len(answer)} came")
            claim(sorted(answer) == sorted(exact), f"the {asked} found are not those of a comparison with all memories")
            found.append(len(answer))
        counts.append((query.user_id, embedded, *found))
    indexes = store.value(
        connection,
        "SELECT count(*) FROM pg_indexes WHERE tablename = 'gravity_map' AND indexdef ~ 'USING (ivfflat|hnsw)'",
    )
    wanted = int(store.settings(connection)["embedding_index_min_rows"])
    claim(indexes == 0, f"{indexes} vector indexes were built on fewer memories than embedding_index_min_rows")
    terminal.line()
    terminal.say(
        "As many rows come as are asked for, or all that there are: the same as by comparing every memory. A vector "
        "index with a condition on the user beside it cannot promise that; the specification's two serve searches "
        f"across users, and are built once {wanted} memories have an embedding."
    )
    terminal.table(
        [
            Column("user"),
            Column("with embedding", right=True),
            *(Column(f"asked for {asked}", right=True) for asked in ASKED),
        ],
        counts,
    )
