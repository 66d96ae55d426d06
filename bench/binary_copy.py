"""Rows in the binary form of PostgreSQL's COPY."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
"""What stands before the first row."""

TRAILER = struct.pack(">h", -1)
"""What stands after the last."""

_TEXT = 25
"""The type's number in pg_type."""


def row(*fields: bytes) -> bytes:
    """A row of values, none of them NULL, each in its type's binary form."""
    return struct.pack(">h", len(fields)) + b"".join(map(_sized, fields))


def vector(values: NDArray[np.float32]) -> bytes:
    """A vector, from an array of shape (dimensions,)."""
    return struct.pack(">hh", len(values), 0) + values.astype(np.dtype(">f4")).tobytes()


def text_array(values: Sequence[str]) -> bytes:
    """A text[] without NULL."""
    if not values:
        return struct.pack(">iiI", 0, 0, _TEXT)
    data = b"".join(_sized(value.encode()) for value in values)
    return struct.pack(">iiIii", 1, 0, _TEXT, len(values), 1) + data


def _sized(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value
