"""The cleanup of cached answers."""

import hashlib
from typing import LiteralString

from demo import store
from demo.claims import claim
from demo.stage import Stage

#: How old the cached answers are. The specification keeps them for a day.
AGES = ["10 minutes", "20 hours", "30 hours", "3 days"]

CACHE_ANSWER: LiteralString = """
INSERT INTO consciousness_cache (user_id, query_hash, query_text, response, confidence, created_at)
SELECT %(user)s, %(hash)s, %(text)s, content, similarity, now() - age
FROM match_memories(%(query)s::vector, -1, 1, %(user)s), unnest(%(ages)s::interval[]) AS age
"""


def show(stage: Stage) -> None:
    """Caches the answers of the search at several ages, and cleans up."""
    terminal, connection, queries = stage.terminal, stage.connection, stage.data.queries
    terminal.heading("Cleanup of cached answers")
    for query in queries:
        parameters = {
            "user": query.user_id,
            "query": query.embedding,
            "text": query.text,
            "hash": hashlib.sha256(query.text.encode()).hexdigest(),
            "ages": AGES,
        }
        connection.execute(CACHE_ANSWER, parameters)
    retention = store.settings(connection)["cache_retention"]
    cached, expired = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE created_at < now() - %s::interval) FROM consciousness_cache",
        (retention,),
    ).fetchall()[0]
    deleted = store.value(connection, "SELECT cleanup_old_cache()")
    left = store.value(connection, "SELECT count(*) FROM consciousness_cache")
    claim(cached == len(queries) * len(AGES), f"{cached} answers are cached")
    claim(0 < deleted == expired, f"{expired} cached answers were older than {retention}, {deleted} were deleted")
    claim(left == cached - expired, f"{left} cached answers are left of {cached}, with {expired} expired")
    terminal.say(
        f"The best answers by meaning to the sentences above, cached at the ages of {', '.join(AGES)}: {cached} "
        f"entries. Those older than {retention} are deleted: the function returned {deleted}, and {left} are left."
    )
    terminal.sql("SELECT cleanup_old_cache()")
