"""Evidence recall on LoCoMo: which share of the turns that answer a question does a search return?

    python3 -m devtools run bench.locomo DIRECTORY
    python3 -m devtools run bench.locomo locomo10.json --embeddings FILE.npz
    python3 -m devtools run bench.locomo DIRECTORY --cross-validate

What DIRECTORY and locomo10.json are, and where they come from, stands in bench/locomo_data.py; embeddings for the
published file are made by bench/locomo_embeddings.py, and without them only the searches by words run.

Each conversation is one user's memory, each turn one memory. Searches compared, ten results each: cosine alone
(exact), BM25 alone (the lexical half of ``recall_memories``), PostgreSQL's ``ts_rank_cd``, reciprocal rank fusion of
cosine and BM25, and ``recall_memories`` without neighbours and as it is. --cross-validate chooses among round weights
on all conversations but one and measures on that one, in turn: what choosing weights is worth elsewhere. The same data
give the same figures in every run on one version of PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from bench.databases import Connection, add_database_options, measured_database, vacuum
from bench.locomo_data import CATEGORIES, Dataset, LocomoError, Question, Vectors, read_dataset
from devtools.errors import SetupError
from devtools.servers import ServerError, stop_on_terminate

RESULTS = 10
USER_PREFIX = "locomo "
FUSION_CONSTANT = 60
FUSION_DEPTH = 100

#: What --cross-validate chooses from: weights of neighbours and of words; meaning has what the words leave of 1.
WEIGHTS = tuple(product((0.3, 0.4, 0.5, 0.6), (0.4, 0.5, 0.6)))

#: Of gravity_map.embedding, where the data have no embeddings.
UNUSED_DIMENSIONS = 384

Recall = NDArray[np.float64]
Search = Callable[[Question], list[str]]


def _literal(vector: Vectors) -> str:
    """A vector of shape (dimensions,) in pgvector's text form."""
    return "[" + ",".join(f"{x:.7g}" for x in vector.tolist()) + "]"


def load(connection: Connection, data: Dataset) -> None:
    """Store the turns as memories, the key in metadata. Ids follow from the keys: they decide between equal scores."""
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY gravity_map (id, user_id, session_id, created_at, content, metadata, embedding) FROM STDIN"
        ) as copy,
    ):
        for number, turn in enumerate(data.turns):
            vector = None if data.turn_vectors is None else _literal(data.turn_vectors[number])
            metadata = json.dumps({"key": turn.key})
            user = USER_PREFIX + turn.conversation
            memory_id = uuid.uuid5(uuid.NAMESPACE_URL, turn.key)
            copy.write_row((memory_id, user, turn.session, turn.at.isoformat(), turn.text, metadata, vector))
    vacuum(connection)


class Searches:
    """The searches compared; each answers the keys of at most RESULTS turns, best first."""

    def __init__(self, connection: Connection, data: Dataset) -> None:
        self._connection = connection
        self._vectors = data.question_vectors

    def cosine(self, question: Question, limit: int = RESULTS) -> list[str]:
        """Exact order by cosine distance; no index can serve the sort expression."""
        return self._keys(
            "SELECT metadata ->> 'key' FROM gravity_map WHERE user_id = %s "
            "ORDER BY (embedding <=> %s::vector) + 0, id LIMIT %s",
            (USER_PREFIX + question.conversation, self._vector(question), limit),
        )

    def bm25(self, question: Question, limit: int = RESULTS) -> list[str]:
        """The lexical half alone, without neighbours."""
        return self._recalled(
            "p_user_id => %s, p_query => %s, p_limit => %s, p_neighbour_weight => 0",
            (USER_PREFIX + question.conversation, question.text, limit),
        )

    def ts_rank_cd(self, question: Question) -> list[str]:
        """PostgreSQL's own ranking, any of the words, divided by the logarithm of the length."""
        return self._keys(
            "SELECT m.metadata ->> 'key' FROM gravity_map AS m, to_tsquery('english', COALESCE((SELECT string_agg("
            "quote_literal(lexeme), ' | ') FROM unnest(to_tsvector('english', %s))), '')) AS q "
            "WHERE m.user_id = %s AND to_tsvector('english', m.content) @@ q "
            "ORDER BY ts_rank_cd(to_tsvector('english', m.content), q, 1) DESC, m.created_at, m.id LIMIT %s",
            (question.text, USER_PREFIX + question.conversation, RESULTS),
        )

    def fusion(self, question: Question) -> list[str]:
        """Reciprocal rank fusion of the hundred best by cosine and by BM25."""
        scores: dict[str, float] = {}
        for found in (self.cosine(question, FUSION_DEPTH), self.bm25(question, FUSION_DEPTH)):
            for rank, key in enumerate(found, 1):
                scores[key] = scores.get(key, 0.0) + 1.0 / (FUSION_CONSTANT + rank)
        return sorted(scores, key=lambda key: -scores[key])[:RESULTS]

    def recall(self, question: Question, **weights: float) -> list[str]:
        """recall_memories() as it is, or with the weights given by their names without p_ and _weight."""
        named = "".join(f", p_{name}_weight => {weight}" for name, weight in weights.items())
        return self._recalled(
            f"p_user_id => %s, p_query => %s, p_embedding => %s::vector, p_limit => %s{named}",
            (USER_PREFIX + question.conversation, question.text, self._vector(question), RESULTS),
        )

    def _recalled(self, arguments: str, parameters: Sequence[Any]) -> list[str]:
        return self._keys(
            f"SELECT m.metadata ->> 'key' FROM recall_memories({arguments}) AS r "  # noqa: S608 - our own words
            "JOIN gravity_map AS m ON m.id = r.id ORDER BY r.score DESC, r.id",
            parameters,
        )

    def _keys(self, query: str, parameters: Sequence[Any]) -> list[str]:
        return [row[0] for row in self._connection.execute(query.encode(), parameters, prepare=True)]

    def _vector(self, question: Question) -> str | None:
        return None if self._vectors is None else _literal(self._vectors[question.number])


def chosen_searches(searches: Searches, *, with_embeddings: bool) -> dict[str, Search]:
    """The searches that can run, by the name they have in the table."""
    by_words: dict[str, Search] = {"BM25": searches.bm25, "ts_rank_cd": searches.ts_rank_cd}
    if not with_embeddings:
        return {**by_words, "recall_memories, words alone": searches.recall}
    return {
        "cosine": searches.cosine,
        **by_words,
        "reciprocal rank fusion": searches.fusion,
        "recall_memories, no neighbours": lambda question: searches.recall(question, neighbour=0.0),
        "recall_memories": searches.recall,
    }


def evidence_recall(questions: Sequence[Question], search: Search) -> Recall:
    """For each question the share (0..1) of its evidence among the results; shape (questions,)."""
    shares = []
    for question in questions:
        evidence = set(question.evidence)
        shares.append(len(evidence.intersection(search(question))) / len(evidence))
    return np.array(shares)


def table(questions: Sequence[Question], results: dict[str, Recall]) -> list[str]:
    """One line per search: means over all questions, those with several pieces of evidence, with one, by category."""
    several = np.array([len(set(q.evidence)) > 1 for q in questions])
    category = np.array([q.category for q in questions])
    groups: list[tuple[str, NDArray[np.bool_]]] = [
        ("all", np.ones(len(questions), dtype=bool)),
        ("several", several),
        ("one", ~several),
        *((CATEGORIES.get(int(c), str(c)), category == c) for c in sorted(set(category.tolist()))),
    ]
    groups = [(name, mask) for name, mask in groups if mask.any()]
    lines = [
        "| search | " + " | ".join(f"{name} ({mask.sum()})" for name, mask in groups) + " |",
        "|---" * (len(groups) + 1) + "|",
    ]
    for name, recall in results.items():
        lines.append(f"| {name} | " + " | ".join(f"{recall[mask].mean():.3f}" for _, mask in groups) + " |")
    return lines


def cross_validate(questions: Sequence[Question], measure: Callable[[float, float], Recall]) -> Recall:
    """Recall of each question with the weights that do best on the other conversations; shape (questions,).

    Args:
        questions: of at least two conversations.
        measure: the recall of every question with a weight of the neighbours and one of the lexical list.
    """
    measured = {}
    for neighbour, lexical in WEIGHTS:
        measured[neighbour, lexical] = measure(neighbour, lexical)
        print(f"neighbour {neighbour}, lexical {lexical}: {measured[neighbour, lexical].mean():.3f}", flush=True)
    conversations = np.array([q.conversation for q in questions])
    held_out = np.zeros(len(questions))
    for conversation in sorted(set(conversations.tolist())):
        on_it = conversations == conversation
        best = max(measured, key=lambda choice: float(measured[choice][~on_it].mean()))
        held_out[on_it] = measured[best][on_it]
        print(f"without {conversation}: neighbour {best[0]}, lexical {best[1]}; on it {held_out[on_it].mean():.3f}")
    return held_out


def measure(connection: Connection, data: Dataset, *, with_cross_validation: bool) -> dict[str, Recall]:
    """Load the data and run every search; the recall of each question by the name of the search."""
    load(connection, data)
    searches = Searches(connection, data)
    chosen = chosen_searches(searches, with_embeddings=data.question_vectors is not None)
    results = {name: evidence_recall(data.questions, search) for name, search in chosen.items()}
    if with_cross_validation:
        results["recall_memories, weights chosen on the other conversations"] = cross_validate(
            data.questions,
            lambda neighbour, lexical: evidence_recall(
                data.questions,
                lambda question: searches.recall(
                    question, neighbour=neighbour, lexical=lexical, semantic=round(1 - lexical, 2)
                ),
            ),
        )
    return results


def main(arguments: list[str]) -> int:
    """Load the data set, run every search, print the table."""
    parser = argparse.ArgumentParser(
        prog="python3 -m devtools run bench.locomo", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("dataset", type=Path, help="a directory with turns.jsonl, or the published locomo10.json")
    parser.add_argument("--embeddings", type=Path, metavar="FILE.npz", help="embeddings of turns and questions")
    parser.add_argument("--conversations", nargs="+", metavar="NAME", help="only these, such as conv-26 (default: all)")
    parser.add_argument("--cross-validate", action="store_true", help="also choose weights by cross-validation")
    add_database_options(parser)
    chosen = parser.parse_args(arguments)
    stop_on_terminate()
    try:
        data = read_dataset(chosen.dataset, chosen.embeddings)
        if chosen.conversations:
            data = data.only(chosen.conversations)
        if chosen.cross_validate and (data.dimensions is None or len({q.conversation for q in data.questions}) < 2):
            raise LocomoError("--cross-validate needs embeddings and at least two conversations")
        dimensions = data.dimensions or UNUSED_DIMENSIONS
        with measured_database(chosen.dsn, dimensions, USER_PREFIX, major=chosen.major) as connection:
            results = measure(connection, data, with_cross_validation=chosen.cross_validate)
    except (LocomoError, SetupError, ServerError, psycopg.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"evidence recall@{RESULTS}, {len(data.questions)} questions, {len(data.turns)} turns")
    print("\n".join(table(data.questions, results)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
