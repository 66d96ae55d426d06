"""Similarity search with sentences, over one user's memories each."""

import time
from typing import LiteralString

from psycopg import sql

from demo.claims import claim
from demo.sample_data import nearest
from demo.stage import Stage
from demo.terminal import Column

NEAREST = 3

#: Exact: the memories of one user are few enough to be compared with all of them.
SIMILAR: LiteralString = """
WITH mine AS MATERIALIZED (SELECT * FROM gravity_map WHERE user_id = %(user)s AND embedding IS NOT NULL)
SELECT round((1 - (embedding <=> %(query)s::vector))::numeric, 3) AS similarity, to_char(created_at, 'Mon DD') AS day,
    content FROM mine ORDER BY embedding <=> %(query)s::vector LIMIT %(limit)s
"""

#: Without MATERIALIZED the planner may take the specification's ivfflat index, which knows no users.
SIMILAR_BY_INDEX: LiteralString = """
SELECT content FROM gravity_map WHERE user_id = %(user)s AND embedding IS NOT NULL
ORDER BY embedding <=> %(query)s::vector LIMIT %(limit)s
"""


def show(stage: Stage) -> None:
    """Asks the sample's questions, and checks the answers against those computed from the sample files."""
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
    found = found_by_index = 0
    for query in stage.data.queries:
        parameters = {"query": query.embedding, "user": query.user_id, "limit": NEAREST}
        started = time.perf_counter()
        rows = connection.execute(SIMILAR, parameters).fetchall()
        milliseconds = (time.perf_counter() - started) * 1000
        claim(
            [row[2] for row in rows] == [memory.columns["content"] for memory in nearest(stage.data, query, NEAREST)],
            f"the search for {query.text!r} did not find the memories that are nearest",
        )
        by_index = {row[0] for row in connection.execute(SIMILAR_BY_INDEX, parameters).fetchall()}
        found += len(rows)
        found_by_index += sum(row[2] in by_index for row in rows)
        terminal.line()
        terminal.say(f'{query.user_id}: "{query.text}" ({milliseconds:.1f} ms)')
        columns = [Column("similarity", right=True), Column("day"), Column("memory")]
        for row in rows:
            terminal.row(columns, [7, 6, terminal.width - 20], row)
    if found_by_index < found:
        terminal.line()
        terminal.say(
            "MATERIALIZED matters: without it the planner takes the specification's approximate ivfflat index, which "
            f"here was built before there was any memory. That way, {found_by_index} of these {found} are found."
        )
