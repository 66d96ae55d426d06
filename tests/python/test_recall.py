"""Recall by words as a client relies on it: the scores are BM25's, and users are apart.

BM25 is computed here a second time, in Python, from the words themselves.
"""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest
from psycopg import sql

from devtools.fixtures import Connection, MakeDatabase
from devtools.servers import Server
from tests.python.derived_rows import add, assert_derived_rows_are_right, literal, nearest, recall_gaps

# None is a stop word or changed by the stemmer, so that splitting at blanks finds the same terms as PostgreSQL does.
_WORDS = [c + v + d for c in "bdfgkl" for v in "aou" for d in ("mp", "rk", "nk")]


def _texts(generator: random.Random, count: int) -> list[str]:
    """Texts of 1 to 30 words, some words far more common than others."""
    weights = [1 / (n + 1) for n in range(len(_WORDS))]
    return [" ".join(generator.choices(_WORDS, weights, k=generator.randint(1, 30))) for _ in range(count)]


def _bm25(texts: list[str], query: str) -> list[float]:
    """BM25 of each text, k1 = 1.2, b = 0.3; 0 for a text without a word of the query."""
    counts = [Counter(text.split()) for text in texts]
    lengths = [sum(count.values()) for count in counts]
    average = sum(lengths) / len(texts)
    scores = [0.0] * len(texts)
    for word in set(query.split()):
        containing = sum(1 for count in counts if word in count)
        idf = math.log(1 + (len(texts) - containing + 0.5) / (containing + 0.5))
        for place, count in enumerate(counts):
            frequency = count[word]
            scores[place] += idf * frequency * 2.2 / (frequency + 1.2 * (0.7 + 0.3 * lengths[place] / average))
    return scores


def _insert(db: Connection, user: str, texts: list[str]) -> None:
    db.execute("INSERT INTO gravity_map (user_id, content) SELECT %s, t FROM unnest(%s::text[]) AS t", (user, texts))


def _scores(db: Connection, user: str, query: str, limit: int = 1000) -> list[tuple[str, float]]:
    return [
        (row[0], row[1])
        for row in db.execute(
            "SELECT content, bm25 FROM recall_memories(%s, %s, p_limit => %s, p_neighbour_weight => 0)",
            (user, query, limit),
        )
    ]


def test_scores_are_those_of_bm25(db: Connection) -> None:
    generator = random.Random(1)
    texts = _texts(generator, 400)
    _insert(db, "ada", texts)
    for _ in range(20):
        query = " ".join(generator.sample(_WORDS, generator.randint(1, 6)))
        expected = sorted((s for s in _bm25(texts, query) if s > 0), reverse=True)
        found = [score for _, score in _scores(db, "ada", query)]
        assert found == pytest.approx(expected, rel=1e-9), query


def test_scores_are_the_same_while_derived_rows_cannot_be_relied_on(db: Connection) -> None:
    generator = random.Random(2)
    texts = _texts(generator, 200)
    _insert(db, "ada", texts)
    query = " ".join(_WORDS[:4])
    with_derived_rows = _scores(db, "ada", query)
    db.execute("SELECT _gravity_memory_note_recall_gaps('{ada}')")
    db.execute("DELETE FROM memory_postings")
    without = dict(_scores(db, "ada", query))
    assert without == pytest.approx(dict(with_derived_rows))
    assert without


def test_memories_with_both_of_two_common_words_come_first(db: Connection) -> None:
    """More postings than recall walks of rare words: with few words it walks them all."""
    db.execute(
        "INSERT INTO gravity_map (user_id, content) SELECT 'ada', CASE WHEN g % 100 = 0 THEN 'bamp bark' "
        "WHEN g % 2 = 0 THEN 'bamp' ELSE 'bark' END FROM generate_series(1, 60000) AS g"
    )
    assert {content for content, _ in _scores(db, "ada", "bamp bark", 500)} == {"bamp bark"}


def test_memories_of_others_change_nothing(db: Connection) -> None:
    generator = random.Random(3)
    texts = _texts(generator, 100)
    _insert(db, "ada", texts)
    query = " ".join(_WORDS[:5])
    alone = db.execute("SELECT content, score, bm25 FROM recall_memories('ada', %s)", (query,)).fetchall()
    _insert(db, "bob", _texts(generator, 500))
    _insert(db, "ad", [query] * 50)
    assert db.execute("SELECT content, score, bm25 FROM recall_memories('ada', %s)", (query,)).fetchall() == alone


def test_a_configuration_decides_which_words_are_the_same(db: Connection) -> None:
    db.execute("SELECT gravity_memory_set('text_search_config', 'german')")
    _insert(db, "ada", ["die Häuser am See", "ein Auto"])
    assert [content for content, _ in _scores(db, "ada", "Haus")] == ["die Häuser am See"]
    assert _scores(db, "ada", "die") == []


def test_a_new_configuration_counts_at_once_for_memories_from_before(db: Connection) -> None:
    _insert(db, "ada", ["die Häuser am See", "ein Auto"])
    assert _scores(db, "ada", "Haus") == []
    db.execute("SELECT gravity_memory_set('text_search_config', 'german')")
    # Words of one language are never looked for among those of the other: everyone is noted.
    assert recall_gaps(db) == ["*"]
    assert [content for content, _ in _scores(db, "ada", "Haus")] == ["die Häuser am See"]
    db.execute("CALL gravity_memory_rebuild_recall()")
    assert [content for content, _ in _scores(db, "ada", "Haus")] == ["die Häuser am See"]
    assert_derived_rows_are_right(db)


def test_letters_beyond_ascii_are_letters_in_a_database_of_locale_c(server: Server) -> None:
    database = "gravity_memory_locale_c"
    server.drop_database(database)
    with server.connect("postgres") as administrator:
        administrator.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'").format(sql.Identifier(database))
        )
    try:
        with server.connect(database) as db:
            db.execute("CREATE EXTENSION vector")
            db.execute("CREATE EXTENSION gravity_memory")
            _insert(db, "ada", ["Zoë und der Fluß", "Zo", "日本語 の 本", "advice/assistance"])
            for query, found in (
                ("Zoë", "Zoë und der Fluß"),
                ("日本語", "日本語 の 本"),
                ("assistance", "advice/assistance"),
            ):
                assert [content for content, _ in _scores(db, "ada", query)] == [found]
    finally:
        server.drop_database(database)


def test_calls_by_name_work_in_any_search_path(db: Connection) -> None:
    _insert(db, "ada", ["bamp"])
    schema = db.execute(
        "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'gravity_memory'"
    ).fetchone()
    assert schema is not None
    db.execute("SET search_path = pg_catalog")
    found = db.execute(
        f"SELECT content FROM {schema[0]}.recall_memories(p_query => 'bamp', p_user_id => 'ada', p_limit => 3)".encode()
    ).fetchall()
    assert found == [("bamp",)]


def test_embeddings_without_negative_components_are_recalled_by_their_values(
    server: Server, make_database: MakeDatabase
) -> None:
    with server.connect(make_database(["vector"])) as store:
        store.execute("SET gravity_memory.embedding_dimensions = 128")
        store.execute("CREATE EXTENSION gravity_memory")
        vectors = np.abs(np.random.default_rng(6).standard_normal((3000, 128))).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ids = add(store, "ada", vectors)
        for query in vectors[:10]:
            rows = store.execute(
                "SELECT id FROM recall_memories('ada', NULL, %s::vector)", (literal(query),)
            ).fetchall()
            assert {row[0] for row in rows} == nearest(ids, vectors, query, 10)
