"""How many tests passed and failed, read from what the test programs print."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

_TAP = re.compile(r"^(?P<failed>not )?ok\s+\d+\b(?P<rest>.*)$")
_DIRECTIVE = re.compile(r"#\s*(?P<word>skip|todo)", re.IGNORECASE)
# pg_prove's summary says so of a file that died, or ran another number of tests than it planned.
_BAD_PLAN = re.compile(r"^\s+Parse errors: ")
# PostgreSQL 15 prints isolation results in a form of its own; from 16 on they are TAP.
_REGRESS = re.compile(r"^test \S+\s+\.\.\. (?P<word>ok|FAILED)\b")


@dataclass(frozen=True)
class Counts:
    """Tests that passed, failed, and were not run."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def with_exit_code(self, code: int) -> Counts:
        """A program that failed, or ran no test at all, has at least one failure, whatever it printed."""
        if self.failed == 0 and (code != 0 or self.passed == 0):
            return Counts(self.passed, 1, self.skipped)
        return self

    def __str__(self) -> str:
        if self == Counts():
            return "not run"
        text = f"{self.passed} ok"
        if self.failed:
            text += f", {self.failed} FAILED"
        if self.skipped:
            text += f", {self.skipped} skipped"
        return text


def count_tap(lines: Iterable[str]) -> Counts:
    """Count TAP's top-level results and pg_regress's old form. A failed TODO is no failure, a skip no pass."""
    passed = failed = skipped = 0
    for line in lines:
        if _BAD_PLAN.match(line):
            failed += 1
        elif found := _REGRESS.match(line):
            if found["word"] == "ok":
                passed += 1
            else:
                failed += 1
        elif found := _TAP.match(line):
            directive = _DIRECTIVE.search(found["rest"])
            is_skip = directive is not None and directive["word"].lower() == "skip"
            if is_skip or (directive is not None and found["failed"]):
                skipped += 1
            elif found["failed"]:
                failed += 1
            else:
                passed += 1
    return Counts(passed, failed, skipped)


def count_junit(path: Path) -> Counts:
    """Count the results in pytest's JUnit file; a missing or broken file counts as nothing run."""
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314 - pytest wrote it for us
    except (OSError, ElementTree.ParseError):
        return Counts()
    total = Counts()
    for suite in root.iter("testsuite"):
        tests, skipped = int(suite.get("tests", "0")), int(suite.get("skipped", "0"))
        failed = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
        total += Counts(max(tests - failed - skipped, 0), failed, skipped)
    return total
