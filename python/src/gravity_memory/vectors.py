"""Embeddings on their way to pgvector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from gravity_memory.errors import InvalidInput


class Array(Protocol):
    """What numpy arrays and tensors have in common, as far as it is needed here."""

    @property
    def ndim(self) -> int:
        """How many dimensions it has."""
        ...

    def tolist(self) -> Any:
        """Its values as numbers of Python."""
        ...


Vector: TypeAlias = Sequence[float] | Array
"""An embedding: numbers in a list or tuple, or an array of one dimension."""


def vector_text(vector: Vector | None) -> str | None:
    """The text that pgvector reads, `[1.0,2.5]`; None stays None.

    Raises:
        InvalidInput: it is empty, no vector of numbers, or has a NaN or infinite component.
    """
    if vector is None:
        return None
    values = _values(vector)
    if not values:
        raise InvalidInput("an embedding must have at least one component")
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"an embedding must be made of numbers: {error}") from error
    for position, number in enumerate(numbers):
        if not math.isfinite(number):
            raise InvalidInput(f"component {position} of the embedding is {number}; pgvector takes finite numbers only")
    return "[" + ",".join(map(repr, numbers)) + "]"


def _values(vector: Vector) -> Sequence[Any]:
    if isinstance(vector, str | bytes | bytearray):
        raise InvalidInput("an embedding must be a list or an array of numbers, not text")
    # An array is asked, not imported: numpy need not be installed.
    if hasattr(vector, "tolist") and hasattr(vector, "ndim"):
        if vector.ndim != 1:
            raise InvalidInput(f"an embedding must have one dimension, not {vector.ndim}")
        listed: list[Any] = vector.tolist()
        return listed
    if not isinstance(vector, Sequence):
        raise InvalidInput(f"an embedding must be a list or an array of numbers, not {type(vector).__name__}")
    for value in vector:
        if isinstance(value, Sequence) or getattr(value, "ndim", 0) != 0:
            raise InvalidInput("an embedding must have one dimension: it holds lists")
    return vector
