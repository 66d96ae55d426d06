"""Reading LoCoMo: conversations, and questions with the turns that answer them.

The data set (Maharana et al., ACL 2024, CC BY-NC 4.0) is not part of this project; it is published at
https://github.com/snap-research/locomo. Two forms are read:

* ``locomo10.json`` as published: a list of conversations, each with ``conversation`` (``session_N``, a list of turns,
  and ``session_N_date_time``) and ``qa`` (questions with ``evidence``, a list of ``dia_id``, and ``category``);
* a directory with ``turns.jsonl`` (conv, dia, session, at, text), ``questions.jsonl`` (conv, q, evidence, category)
  and, if there are embeddings, ``embeddings.npz`` (arrays ``turns`` and ``questions``, a row per line of those files).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The numbers that the published file gives to its kinds of questions. They are not those of the paper's list: see
#: issue 29 of the data set's repository.
CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}

Vectors = NDArray[np.float32]

_SESSION = re.compile(r"session_(\d+)")

# Some of the published evidence is written 'D8:6; D9:17', 'D30:05', 'D:11:26' or 'D', and some names no turn.
_EVIDENCE = re.compile(r"D:?(\d+):(\d+)")


class LocomoError(Exception):
    """A file is not LoCoMo, or files do not belong together; the message says which and why."""


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation; ``key`` and ``session`` are unique in the data set, ``at`` is in UTC."""

    conversation: str
    key: str
    session: str
    at: datetime
    text: str


@dataclass(frozen=True)
class Question:
    """A question; ``evidence`` holds the keys of the turns that answer it, ``number`` its row in the embeddings."""

    number: int
    conversation: str
    text: str
    evidence: tuple[str, ...]
    category: int


@dataclass(frozen=True)
class Dataset:
    """Turns and questions, with embeddings of shapes (turns, dimensions) and (questions, dimensions), or without."""

    turns: list[Turn]
    questions: list[Question]
    turn_vectors: Vectors | None = None
    question_vectors: Vectors | None = None

    def only(self, conversations: Sequence[str]) -> Dataset:
        """The turns and questions of some conversations.

        Raises:
            LocomoError: there is no conversation of one of the names.
        """
        known = {turn.conversation for turn in self.turns}
        unknown = sorted(set(conversations) - known)
        if unknown:
            raise LocomoError(f"no conversation {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        kept = [number for number, turn in enumerate(self.turns) if turn.conversation in conversations]
        return Dataset(
            [self.turns[number] for number in kept],
            [question for question in self.questions if question.conversation in conversations],
            None if self.turn_vectors is None else self.turn_vectors[kept],
            # Found by the questions' own numbers, which stay.
            self.question_vectors,
        )

    @property
    def dimensions(self) -> int | None:
        """How long the embeddings are; None without embeddings."""
        return None if self.turn_vectors is None else int(self.turn_vectors.shape[1])


def read_dataset(path: Path, embeddings: Path | None = None) -> Dataset:
    """Read a directory or the published file.

    Args:
        path: the directory or the file.
        embeddings: an .npz file as in the directory; None takes the directory's own, if there is one.

    Raises:
        LocomoError: the files are not what is described above, or do not belong together.
    """
    try:
        if path.is_dir():
            turns, questions = _read_directory(path)
            own = path / "embeddings.npz"
            embeddings = embeddings or (own if own.exists() else None)
        else:
            turns, questions = _read_published(path)
        if not turns or not questions:
            raise LocomoError(f"{path} has {len(turns)} turns and {len(questions)} questions")
        if embeddings is None:
            return Dataset(turns, questions)
        with np.load(embeddings) as arrays:
            vectors = {name: arrays[name].astype(np.float32) for name in ("turns", "questions")}
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise LocomoError(f"{path} is not LoCoMo as described in bench/locomo_data.py: {fault}") from error
    for name, rows in (("turns", len(turns)), ("questions", len(questions))):
        if vectors[name].ndim != 2 or len(vectors[name]) != rows:
            raise LocomoError(f"{embeddings}: the embeddings of {rows} {name} have the shape {vectors[name].shape}")
    if vectors["turns"].shape[1] != vectors["questions"].shape[1]:
        raise LocomoError(f"{embeddings}: turns and questions have embeddings of different dimensions")
    return Dataset(turns, questions, vectors["turns"], vectors["questions"])


def _read_directory(directory: Path) -> tuple[list[Turn], list[Question]]:
    turns = [
        Turn(
            t["conv"],
            f"{t['conv']} {t['dia']}",
            f"{t['conv']} {t['session']}",
            datetime.fromisoformat(t["at"]).replace(tzinfo=UTC),
            t["text"],
        )
        for t in _json_lines(directory / "turns.jsonl")
    ]
    known = {turn.key for turn in turns}
    questions = []
    for number, asked in enumerate(_json_lines(directory / "questions.jsonl")):
        evidence = _evidence(asked["conv"], asked["evidence"], known)
        if not evidence:
            raise LocomoError(f"{directory}: the evidence of question {number + 1} names no turn")
        questions.append(Question(number, asked["conv"], asked["q"], evidence, int(asked["category"])))
    return turns, questions


def _evidence(conversation: str, written: list[str], known: set[str]) -> tuple[str, ...]:
    """The keys of the turns that a question's evidence names, each once; what names none of the known is left out."""
    named = (f"{conversation} D{int(n)}:{int(m)}" for n, m in _EVIDENCE.findall(" ".join(written)))
    return tuple(dict.fromkeys(key for key in named if key in known))


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _read_published(path: Path) -> tuple[list[Turn], list[Question]]:
    """Turns of a session are taken to be a minute apart. What an image shows is said as its published caption.

    Questions whose evidence names no turn are left out: there is nothing to find for them.
    """
    turns: list[Turn] = []
    questions: list[Question] = []
    for number, sample in enumerate(json.loads(path.read_text(encoding="utf-8")), 1):
        conversation = str(sample.get("sample_id", number))
        spoken = list(_published_turns(conversation, sample["conversation"]))
        known = {turn.key for turn in spoken}
        turns += spoken
        for asked in sample["qa"]:
            evidence = _evidence(conversation, asked.get("evidence", []), known)
            if evidence:
                questions.append(
                    Question(len(questions), conversation, asked["question"], evidence, int(asked["category"]))
                )
    return turns, questions


def _published_turns(conversation: str, spoken: dict[str, Any]) -> Iterator[Turn]:
    sessions = sorted(int(match[1]) for match in map(_SESSION.fullmatch, spoken) if match)
    for session in sessions:
        date = str(spoken[f"session_{session}_date_time"]).strip()
        start = datetime.strptime(date, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
        for place, turn in enumerate(spoken[f"session_{session}"]):
            text = f"{turn['speaker']}: {turn['text']}"
            if turn.get("blip_caption"):
                text += f" [shares {turn['blip_caption']}]"
            key = f"{conversation} {turn['dia_id']}"
            yield Turn(conversation, key, f"{conversation} {session}", start + timedelta(minutes=place), text)
