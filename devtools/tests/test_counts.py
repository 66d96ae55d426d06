"""A failing test must never be counted as a passing one, whichever program reports it."""

from __future__ import annotations

from pathlib import Path

from devtools.counts import Counts, count_junit, count_tap

PGTAP = """\
tests/pgtap/a.sql ..
1..4
ok 1 - one
not ok 2 - two
# Failed test 2: "two"
ok 3 # SKIP no such thing here
not ok 4 - later # TODO not yet
    ok 1 - inside a subtest
ok
"""


def test_tap_counts_each_kind_of_result_once() -> None:
    assert count_tap(PGTAP.splitlines()) == Counts(passed=1, failed=1, skipped=2)


def test_a_file_that_dies_early_counts_as_failed() -> None:
    summary = ["ok 1 - one", "  Parse errors: Bad plan.  You planned 3 tests but ran 1."]
    assert count_tap(summary) == Counts(passed=1, failed=1)


def test_isolation_results_of_postgresql_15_are_counted() -> None:
    lines = [
        "test concurrent_arcs              ... ok           40 ms",
        "test deadlock                     ... FAILED       12 ms",
    ]
    assert count_tap(lines) == Counts(passed=1, failed=1)


def test_isolation_results_of_postgresql_16_are_counted() -> None:
    lines = ["ok 1         - concurrent_arcs   40 ms", "not ok 2     - deadlock   12 ms", "1..2"]
    assert count_tap(lines) == Counts(passed=1, failed=1)


def test_a_failing_program_has_a_failure_whatever_it_printed() -> None:
    assert Counts(passed=5).with_exit_code(1).failed == 1


def test_a_program_that_ran_nothing_has_a_failure() -> None:
    assert Counts().with_exit_code(0).failed == 1


def test_known_failures_are_not_counted_again() -> None:
    assert Counts(passed=5, failed=2).with_exit_code(1).failed == 2


def test_junit_counts_failures_errors_and_skips(tmp_path: Path) -> None:
    report = tmp_path / "pytest.xml"
    report.write_text('<testsuites><testsuite tests="6" failures="1" errors="1" skipped="1"/></testsuites>')
    assert count_junit(report) == Counts(passed=3, failed=2, skipped=1)


def test_a_missing_junit_report_counts_as_nothing_run(tmp_path: Path) -> None:
    assert count_junit(tmp_path / "none.xml") == Counts()
