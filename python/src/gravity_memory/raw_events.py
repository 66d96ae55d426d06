"""Events as the database sent them: what their JSON says is read when somebody wants it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gravity_memory.errors import GravityMemoryError
from gravity_memory.models import Event, timestamp


@dataclass(frozen=True, slots=True)
class RawEvent:
    """An event whose payload is still the text that the database sent.

    Who may write a memory may store JSON that Python does not read: numbers of thousands of digits, thousands of nested
    lists, in a database without an encoding also what is no UTF-8. That must not harm anybody but those who want this
    event. And whoever reads it has a payload that nobody else can change.

    Attributes:
        event, user_id, subject_id, cursor: as in Event.
        payload: JSON, in UTF-8 where it is bytes.
        created_at: a time, or the text of one as PostgreSQL writes it into JSON.
    """

    event: str
    user_id: str
    subject_id: UUID | None
    payload: str | bytes
    created_at: datetime | str
    cursor: str | None = None

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> RawEvent:
        """The event in the first six columns of a row of the feed."""
        user_id, event, subject_id, payload, created_at, cursor = row[:6]
        return cls(event, user_id, subject_id, payload, created_at, cursor)

    def read(self) -> Event:
        """The event, with a payload of its own.

        Raises:
            GravityMemoryError: Python cannot read the payload.
        """
        try:
            payload = json.loads(self.payload if isinstance(self.payload, str) else str(self.payload, "utf-8"))
            if not isinstance(payload, dict):
                raise ValueError(f"it is no object, but {type(payload).__name__}")
        except (ValueError, RecursionError) as error:
            after = f" The cursor after it is {self.cursor}" if self.cursor is not None else ""
            raise GravityMemoryError(
                f"the event {self.event} of {self.subject_id} cannot be read: {error}",
                hint=f"Look at that row in SQL; most often it is metadata that Python's json does not take.{after}",
            ) from error
        return Event(
            event=self.event,
            user_id=self.user_id,
            subject_id=self.subject_id,
            payload=payload,
            created_at=self.created_at if isinstance(self.created_at, datetime) else timestamp(self.created_at),
            cursor=self.cursor,
        )
