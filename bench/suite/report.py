"""The report: one Markdown file over all results of a folder, with plots. The same results give the same report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench.suite.pictures import draw
from bench.suite.results import Cell, Goal, Result, Table, load

_INTRODUCTION = """\
# Benchmarks

gravity_memory, the specification's SQL as written, and plain pgvector (a table, a B-tree on `user_id`, HNSW), on the
same data and the same server, in the same run: compare within a run. Times on another machine are others; the ratios
are what to look at.

`make bench` makes this file, from the results in `data/`; [bench/README.md](../../bench/README.md) says what it takes
and how to run parts of it.
"""
_MACHINE = ("processor", "memory", "system", "PostgreSQL", "pgvector", "settings", "other work")
_WHOLE = "full"


class ReportError(Exception):
    """There is nothing to report, or a result cannot be read."""


def write_report(folder: Path, order: Sequence[str]) -> Path:
    """Write README.md and the plots of a folder from the results in its `data`.

    Args:
        folder: what `save` was given the `data` of.
        order: names of parts; results of others come after, by name.

    Returns:
        The file README.md.

    Raises:
        ReportError: there are no results, or one is not what `save` writes.
    """
    paths = sorted((folder / "data").glob("*.json"))
    if not paths:
        raise ReportError(f"There are no results in {folder / 'data'}. Run the benchmark without --report-only first.")
    results = []
    for path in paths:
        try:
            results.append(load(path))
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ReportError(
                f"{path} is not a result of this version of the benchmark ({type(error).__name__}: {error}). Remove it."
            ) from error
    place = {name: number for number, name in enumerate(order)}
    results.sort(key=lambda result: (place.get(result.part, len(place)), result.part))
    for result in results:
        for plot in result.plots:
            draw(plot, folder / f"{plot.name}.png")
    # Without the variable's name, one run on one machine is described once.
    machines = list(dict.fromkeys(tuple(result.machine.items()) for result in results))
    lines = [
        _INTRODUCTION,
        *_goals(results),
        *_runs(results, machines),
        *(line for result in results for line in _section(result)),
    ]
    path = folder / "README.md"
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return path


def _goals(results: Sequence[Result]) -> list[str]:
    goals = [(result, goal) for result in results for goal in result.goals]
    if not goals:
        return []
    counts = {met: sum(goal.met is met for _, goal in goals) for met in (True, False, None)}
    said = f"{counts[True]} of {len(goals)} goals are met, {counts[False]} missed"
    if counts[None]:
        said += f"; {counts[None]} cannot be judged at the scale at which they were measured"
    rows = tuple(
        (
            f"[{result.title}](#{_anchor(result.title)}){_mark(result)}",
            goal.what,
            goal.wanted,
            goal.measured,
            _word(goal),
            goal.why,
        )
        for result, goal in goals
    )
    header = ("part", "measured", "goal", "found", "", "why, or what to know")
    return ["## Goals", "", f"{said}.", "", *_table(header, rows), ""]


def _word(goal: Goal) -> str:
    return {True: "met", False: "**missed**", None: "not judged"}[goal.met]


def _mark(result: Result) -> str:
    """Of a part that did not run at the whole scale."""
    return "" if result.scale == _WHOLE else f" ({result.scale})"


def _runs(results: Sequence[Result], machines: Sequence[tuple[tuple[str, str], ...]]) -> list[str]:
    lines = ["## How it was measured", ""]
    several = len(machines) > 1
    for number, described in enumerate(machines, start=1):
        found = dict(described)
        if several:
            lines += [f"Machine {number}:", ""]
        keys = [*(key for key in _MACHINE if key in found), *(key for key in found if key not in _MACHINE)]
        lines += [f"- {key}: {found[key]}" for key in keys]
        lines.append("")
    header: tuple[str, ...] = ("part", "scale", "date", "measuring took")
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        cells: tuple[Cell, ...] = (result.title, result.scale, result.date, f"{result.seconds:,.0f} s")
        if several:
            cells += (machines.index(tuple(result.machine.items())) + 1,)
        rows.append(cells)
    if several:
        header += ("machine",)
    lines += [*_table(header, tuple(rows)), ""]
    if any(result.scale != _WHOLE for result in results):
        lines += [
            f"Parts marked with another scale than `{_WHOLE}` were measured with less data, which proves no goal.",
            "",
        ]
    return lines


def _section(result: Result) -> list[str]:
    lines = [f"## {result.title}", ""]
    if result.scale != _WHOLE:
        lines += [f"**Measured at the scale `{result.scale}`, not `{_WHOLE}`.**", ""]
    if result.missing:
        lines += [f"**Incomplete: {result.missing}.**", ""]
    lines += [result.method, ""]
    for plot in result.plots:
        lines += [f"![{plot.title}]({plot.name}.png)", ""]
    for table in result.tables:
        lines += _titled(table)
    return lines


def _titled(table: Table) -> list[str]:
    lines = [f"### {table.title}", "", *_table(table.header, table.rows), ""]
    return [*lines, table.note, ""] if table.note else lines


def _table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """A Markdown table; columns of numbers are aligned to the right."""
    rules = []
    for column in range(len(header)):
        cells = [row[column] for row in rows if row[column] is not None]
        is_number = bool(cells) and all(isinstance(cell, int | float) for cell in cells)
        rules.append("---:" if is_number else "---")
    lines = [header, rules, *([_shown(cell) for cell in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _shown(cell: Cell) -> str:
    """A cell as it is read: thousands set apart, fractions with three significant digits."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell.replace("|", "\\|").replace("\n", " ")
    if isinstance(cell, int) or cell == 0 or abs(cell) >= 100:
        return f"{cell:,.0f}"
    # A plain number, never 1e-05.
    digits = 2 if abs(cell) >= 1 else 3
    if abs(cell) >= 10:
        digits = 1
    while abs(cell) < 0.1 ** (digits - 2) and digits < 6:
        digits += 1
    return f"{cell:.{digits}f}"


def _anchor(title: str) -> str:
    """Where GitHub's Markdown puts a heading."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")
