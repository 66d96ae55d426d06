"""How much a long test does: a bounded form in `make test`, the whole in `make test-full`."""

from __future__ import annotations

import os
from typing import TypeVar

Amount = TypeVar("Amount", int, float)

IS_FULL = os.environ.get("GRAVITY_MEMORY_TEST_FULL") == "1"


def bounded(in_ci: Amount, in_full: Amount) -> Amount:
    """The amount (rows, rounds or seconds) to use: ``in_ci``, or ``in_full`` when `make test-full` asked for it."""
    return in_full if IS_FULL else in_ci
