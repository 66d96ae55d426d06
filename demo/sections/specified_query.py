"""The test query of the specification, with its plan and time."""

from typing import LiteralString

from psycopg import sql

from demo.claims import claim
from demo.stage import SPECIFIED_MILLISECONDS, Stage

QUERY: LiteralString = (
    "SELECT * FROM gravity_map WHERE user_id = {} AND created_at > NOW() - INTERVAL '7 days' "
    "AND gravity_score >= 0.7 ORDER BY created_at DESC LIMIT 50"
)


def show(stage: Stage) -> None:
    """Explains and times the query for the user with the most memories."""
    terminal, connection = stage.terminal, stage.connection
    terminal.heading("The specification's test query")
    user, count = connection.execute(
        "SELECT user_id, count(*) FROM gravity_map GROUP BY user_id ORDER BY count(*) DESC LIMIT 1"
    ).fetchall()[0]
    query = sql.SQL(QUERY).format(sql.Literal(user))
    found = len(connection.execute(query).fetchall())
    explain = sql.SQL("EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF) ") + query
    plan = [str(row[0]) for row in connection.execute(explain).fetchall()]
    text = "\n".join(plan)
    claim(found > 0, "the query found nothing")
    claim("Seq Scan" not in text and "Index Scan" in text, f"the query does not go by an index:\n{text}")
    milliseconds = float(plan[-1].removeprefix("Execution Time: ").removesuffix(" ms"))
    claim(milliseconds < SPECIFIED_MILLISECONDS, f"the query took {milliseconds} ms")
    terminal.say(
        f"The significant memories of the last week, newest first, of {user}, who has {count} memories: {found} rows, "
        f"by index, in {milliseconds:.3f} ms; the specification allows {SPECIFIED_MILLISECONDS:.0f} ms."
    )
    terminal.sql(explain.as_string(connection))
    terminal.line()
    for line in plan:
        terminal.hanging(line)
