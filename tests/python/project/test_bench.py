"""The measurements can be believed: what they read, what they count, and that they run against this version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psycopg.conninfo import make_conninfo

from bench import locomo, recall_latency
from bench.locomo_data import LocomoError, Question, read_dataset
from devtools.fixtures import Connection, MakeDatabase
from devtools.servers import Server

# Of gravity_map.embedding, unless something else is said before CREATE EXTENSION.
DIMENSIONS = 1536

# In the form of the published file, with the faults that it has; nothing of it is from there.
PUBLISHED = [
    {
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Ida",
            "speaker_b": "Jon",
            "session_10_date_time": "12:05 am on 1 January, 2021",
            "session_10": [{"speaker": "Ida", "dia_id": "D10:1", "text": "It snows."}],
            "session_2_date_time": "1:30 pm on 8 May, 2020",
            "session_2": [
                {"speaker": "Jon", "dia_id": "D2:1", "text": "Look.", "img_url": ["x"], "blip_caption": "a red kite"},
                {"speaker": "Ida", "dia_id": "D2:2", "text": "Who made it?"},
            ],
            "session_11_date_time": "3:00 pm on 2 January, 2021",
        },
        "qa": [
            {"question": "What is red?", "answer": "a kite", "evidence": ["D2:1"], "category": 4},
            {
                "question": "When does it snow?",
                "answer": 2021,
                "evidence": ["D10:01; D2:2", "D:2:1", "D"],
                "category": 2,
            },
            {"question": "Who is Max?", "evidence": ["D7:7"], "category": 5},
            {"question": "Who is Eva?", "adversarial_answer": "Ida", "category": 5},
        ],
        "event_summary": {},
    },
    {
        "sample_id": "conv-2",
        "conversation": {
            "session_1_date_time": "9:00 am on 30 June, 2022",
            "session_1": [{"speaker": "Ida", "dia_id": "D1:1", "text": "Good morning."}],
        },
        "qa": [{"question": "What was wished?", "evidence": ["D1:1", "D1:1"], "category": 1}],
    },
]


def _published(folder: Path, content: Any) -> Path:
    path = folder / "locomo10.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_published_file_is_read_with_its_sessions_in_order(tmp_path: Path) -> None:
    data = read_dataset(_published(tmp_path, PUBLISHED))
    assert [(t.conversation, t.key, t.session, f"{t.at:%Y-%m-%d %H:%M%z}", t.text) for t in data.turns] == [
        ("conv-1", "conv-1 D2:1", "conv-1 2", "2020-05-08 13:30+0000", "Jon: Look. [shares a red kite]"),
        ("conv-1", "conv-1 D2:2", "conv-1 2", "2020-05-08 13:31+0000", "Ida: Who made it?"),
        ("conv-1", "conv-1 D10:1", "conv-1 10", "2021-01-01 00:05+0000", "Ida: It snows."),
        ("conv-2", "conv-2 D1:1", "conv-2 1", "2022-06-30 09:00+0000", "Ida: Good morning."),
    ]
    assert data.dimensions is None


def test_evidence_is_read_however_it_is_written_and_only_questions_with_some_count(tmp_path: Path) -> None:
    data = read_dataset(_published(tmp_path, PUBLISHED))
    assert data.questions == [
        Question(0, "conv-1", "What is red?", ("conv-1 D2:1",), 4),
        Question(1, "conv-1", "When does it snow?", ("conv-1 D10:1", "conv-1 D2:2", "conv-1 D2:1"), 2),
        Question(2, "conv-2", "What was wished?", ("conv-2 D1:1",), 1),
    ]


def test_embeddings_must_have_a_row_for_every_turn_and_question(tmp_path: Path) -> None:
    path = _published(tmp_path, PUBLISHED)
    vectors = tmp_path / "e.npz"
    np.savez(vectors, turns=np.ones((4, 8), np.float16), questions=np.ones((3, 8), np.float16))
    data = read_dataset(path, vectors)
    assert data.dimensions == 8
    assert data.question_vectors is not None
    assert data.question_vectors.shape == (3, 8)
    np.savez(vectors, turns=np.ones((4, 8), np.float16), questions=np.ones((2, 8), np.float16))
    with pytest.raises(LocomoError, match=r"embeddings of 3 questions have the shape \(2, 8\)"):
        read_dataset(path, vectors)


def test_some_conversations_keep_their_own_embeddings(tmp_path: Path) -> None:
    vectors = tmp_path / "e.npz"
    np.savez(vectors, turns=np.diag([1.0, 2, 3, 4]), questions=np.diag([5.0, 6, 7, 0])[:3])
    data = read_dataset(_published(tmp_path, PUBLISHED), vectors).only(["conv-2"])
    assert [turn.key for turn in data.turns] == ["conv-2 D1:1"]
    assert data.turn_vectors is not None
    assert data.turn_vectors.tolist() == [[0, 0, 0, 4]]
    assert [question.text for question in data.questions] == ["What was wished?"]
    assert data.question_vectors is not None
    assert data.question_vectors[data.questions[0].number].tolist() == [0, 0, 7, 0]
    with pytest.raises(LocomoError, match="no conversation conv-3; there are conv-2"):
        data.only(["conv-3"])


@pytest.mark.parametrize("content", [{"qa": []}, [], [{"qa": []}], [1]])
def test_another_json_file_is_refused(tmp_path: Path, content: Any) -> None:
    path = _published(tmp_path, content)
    with pytest.raises(LocomoError, match=r"locomo10\.json"):
        read_dataset(path)


def test_a_folder_without_the_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocomoError, match=r"turns\.jsonl"):
        read_dataset(tmp_path)


QUESTIONS = [
    Question(0, "a", "one piece, found", ("a 1",), 4),
    Question(1, "a", "three pieces, two found", ("a 1", "a 2", "a 3"), 1),
    Question(2, "b", "one piece, not found", ("b 9",), 4),
]
FOUND = {"one piece, found": ["a 1", "a 2"], "three pieces, two found": ["a 3", "a 2", "a 2"]}


def test_recall_is_the_share_of_a_questions_evidence_that_is_found() -> None:
    recall = locomo.evidence_recall(QUESTIONS, lambda question: FOUND.get(question.text, ["a 1"]))
    assert recall.tolist() == pytest.approx([1, 2 / 3, 0])


def test_the_table_gives_the_mean_of_every_group_of_questions() -> None:
    assert locomo.table(QUESTIONS, {"some search": np.array([1, 0.5, 0.25])}) == [
        "| search | all (3) | several (1) | one (2) | multi-hop (1) | single-hop (2) |",
        "|---|---|---|---|---|---|",
        "| some search | 0.583 | 0.500 | 0.625 | 0.500 | 0.625 |",
    ]


def test_cross_validation_measures_a_conversation_with_weights_chosen_on_the_others() -> None:
    def measure(neighbour: float, lexical: float) -> locomo.Recall:
        # On a the first weights do best, on b the last; where the choice were made on all, a would have its own.
        first, last = ((neighbour, lexical) == locomo.WEIGHTS[place] for place in (0, -1))
        return np.array([1.0 if first else 0.3, 1.0 if first else 0.3, 0.9 if last else 0.2])

    assert locomo.cross_validate(QUESTIONS, measure).tolist() == [0.3, 0.3, 0.2]


def _unit(*places: int) -> list[float]:
    vector = np.zeros(DIMENSIONS)
    vector[list(places)] = 1 / np.sqrt(len(places))
    return [float(x) for x in vector]


def _directory(folder: Path) -> Path:
    """Three questions, one for each of what recall brings together, and turns that resemble the first question."""
    turns = [("D1:1", 1, "Ada: So what is your dog called?", _unit(0)), ("D1:2", 1, "Bo: Rex.", _unit(1))]
    turns += [("D2:1", 2, "Bo: That carburettor leaks.", _unit(2)), ("D3:1", 3, "Ada: I was ill.", _unit(3))]
    turns += [(f"D{n}:1", n, f"Ada: filler {n}", _unit(0, n)) for n in range(4, 24)]
    questions = [
        ("Which name has the dog?", "D1:2", _unit(0)),
        ("Is the carburettor tight?", "D2:1", _unit(0)),
        ("Did somebody feel bad?", "D3:1", _unit(3, 0)),
    ]
    (folder / "turns.jsonl").write_text(
        "".join(
            json.dumps({"conv": "c", "dia": dia, "session": session, "at": f"2024-03-01T10:{n:02}:00", "text": text})
            + "\n"
            for n, (dia, session, text, _) in enumerate(turns)
        )
    )
    (folder / "questions.jsonl").write_text(
        "".join(json.dumps({"conv": "c", "q": q, "evidence": [e], "category": 4}) + "\n" for q, e, _ in questions)
    )
    np.savez(
        folder / "embeddings.npz",
        turns=np.array([t[-1] for t in turns]),
        questions=np.array([q[-1] for q in questions]),
    )
    return folder


def _dsn(server: Server, database: str) -> str:
    return make_conninfo(**{name: str(value) for name, value in server.parameters(database).items()})


def test_every_search_finds_what_it_is_made_for(db: Connection, tmp_path: Path) -> None:
    data = read_dataset(_directory(tmp_path))
    results = locomo.measure(db, data, with_cross_validation=False)
    assert {name: recall.tolist() for name, recall in results.items()} == {
        "cosine": [0, 0, 1],
        "BM25": [0, 1, 0],
        "ts_rank_cd": [0, 1, 0],
        "reciprocal rank fusion": [0, 1, 1],
        "recall_memories, no neighbours": [0, 1, 1],
        "recall_memories": [1, 1, 1],
    }


def test_the_benchmark_prints_its_table_and_leaves_no_memory_behind(
    server: Server, make_database: MakeDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = make_database()
    arguments = [str(_directory(tmp_path)), "--dsn", _dsn(server, database)]
    assert locomo.main(arguments) == 0
    assert "| recall_memories | 1.000 |" in capsys.readouterr().out
    with server.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM gravity_map").fetchone() == (0,)
        connection.execute("INSERT INTO gravity_map (user_id) VALUES ('somebody')")
    assert locomo.main(arguments) == 1
    assert "gravity_map is not empty" in capsys.readouterr().err


def test_latency_is_measured_for_every_way_to_recall(
    server: Server, make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("QUERIES", "FEW_QUERIES", "INSERTS"):
        monkeypatch.setattr(recall_latency, name, recall_latency.WARM_UP + 4)
    arguments = ["--sizes", "40", "--dimensions", str(DIMENSIONS), "--dsn", _dsn(server, make_database())]
    assert recall_latency.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in (*recall_latency.STATEMENTS, "derived rows, inserts of 1", "derived rows, inserts of 500"):
        assert any(line.startswith(f"| 40 | {name} | ") for line in lines), name
