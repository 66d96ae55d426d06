"""What the tools tell the person at the terminal while they work."""

from __future__ import annotations

import sys


def say(message: str) -> None:
    """Print one line at once, so that a log shows it before what it announces."""
    print(message, file=sys.stdout, flush=True)
