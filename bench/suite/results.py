"""What a part of the benchmark reports: tables, goals and plots, kept as JSON so that parts can be run on their own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Figures as they are shown.

    Attributes:
        title: what the table is about.
        header: one heading per column, with its unit.
        rows: as many cells per row; None is shown as empty, a float with three significant digits.
        note: a sentence below it, or "".
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Goal:
    """A bar that was set before, and what was measured.

    Attributes:
        what: the thing measured.
        wanted: the bar, as a phrase.
        measured: the figure, as a phrase.
        met: whether the bar is met; None where this scale cannot tell.
        why: why not, or what to know; "" when there is nothing to say.
    """

    what: str
    wanted: str
    measured: str
    met: bool | None
    why: str = ""


@dataclass(frozen=True)
class Plot:
    """A picture of some figures.

    Attributes:
        name: of the PNG file, without its ending.
        title, x_label, y_label: its texts.
        series: by legend, pairs of x and y; in a bar chart x is a name.
        kind: how it is drawn; "dots" is for many names, each on a line of its own, with y along the lines.
        log_x, log_y: whether an axis is logarithmic.
        limit: y of a horizontal line for the goal, or None.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    series: dict[str, tuple[tuple[float | str, float], ...]]
    kind: Literal["lines", "bars", "dots"] = "lines"
    log_x: bool = False
    log_y: bool = False
    limit: float | None = None


@dataclass(frozen=True)
class Result:
    """What one part found.

    Attributes:
        part: its name, which is also the name of its JSON file.
        title: its heading in the report.
        method: what was done, in a few sentences.
        tables, goals, plots: its figures.
        scale: name of the scale it ran at.
        machine: where it ran; see machine.describe().
        seconds: how long it took, loading not counted.
        date: of the day it was measured, as 2026-01-31.
        missing: what was to be measured as well but could not be, and why; "" when nothing is.
    """

    part: str
    title: str
    method: str
    tables: tuple[Table, ...]
    goals: tuple[Goal, ...] = ()
    plots: tuple[Plot, ...] = ()
    scale: str = ""
    machine: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    date: str = ""
    missing: str = ""


def save(result: Result, folder: Path) -> Path:
    """Write a result as JSON into a folder, over an earlier one of the same part, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.part}.json"
    path.write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> Result:
    """Read what `save` wrote."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    tables = tuple(
        Table(t["title"], tuple(t["header"]), tuple(map(tuple, t["rows"])), t["note"]) for t in found.pop("tables")
    )
    goals = tuple(Goal(**goal) for goal in found.pop("goals"))
    plots = tuple(
        Plot(**{**plot, "series": {name: tuple(map(tuple, points)) for name, points in plot["series"].items()}})
        for plot in found.pop("plots")
    )
    return Result(**found, tables=tables, goals=goals, plots=plots)
