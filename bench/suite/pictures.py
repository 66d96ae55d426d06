"""Plots as PNG: small, readable, and told apart without colour too."""

from __future__ import annotations

import io
import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

from bench.suite.results import Plot

mpl.use("Agg")

# Okabe and Ito's palette, by which people of every colour vision tell series apart; markers do so in print.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
_DPI = 100
_PALETTE = 96
_GOAL = "#555555"


def draw(plot: Plot, path: Path) -> None:
    """Write a plot as PNG. The same plot gives the same file."""
    names = list(dict.fromkeys(str(x) for points in plot.series.values() for x, _ in points))
    height = 1.6 + 0.24 * len(names) if plot.kind == "dots" else 4.5
    figure = Figure(figsize=(8.5, height), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    {"lines": _lines, "bars": _bars, "dots": _dots}[plot.kind](axes, plot, names)
    axes.set_title(plot.title, fontsize=11)
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if len(plot.series) > 1 or plot.limit is not None:
        handles, labels = axes.get_legend_handles_labels()
        columns = 3 if max(map(len, labels)) < 30 else 2
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9, frameon=False)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    # A palette makes it a third of the size, and drops the version of matplotlib from it.
    Image.open(drawn).convert("RGB").quantize(_PALETTE).save(path, optimize=True)


def _number(value: float, _: object = None) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:g}"


def _scale(axes: Axes, axis: str, label: str, *, is_log: bool) -> None:
    """Label an axis of numbers, and write them out instead of as powers."""
    one = axes.xaxis if axis == "x" else axes.yaxis
    if is_log:
        (axes.set_xscale if axis == "x" else axes.set_yscale)("log")
        low, high = axes.get_xlim() if axis == "x" else axes.get_ylim()
        # Less than two powers of ten would leave an axis with hardly a number on it.
        one.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
        one.set_minor_formatter(NullFormatter())
    one.set_major_formatter(FuncFormatter(_number))
    one.set_label_text(label)


def _lines(axes: Axes, plot: Plot, _names: Sequence[str]) -> None:
    for (name, points), colour, marker in zip(
        plot.series.items(), itertools.cycle(_COLOURS), itertools.cycle(_MARKERS), strict=False
    ):
        axes.plot(
            [float(x) for x, _ in points],
            [y for _, y in points],
            color=colour,
            marker=marker,
            label=name,
            linewidth=1.6,
        )
    _scale(axes, "x", plot.x_label, is_log=plot.log_x)
    _scale(axes, "y", plot.y_label, is_log=plot.log_y)
    places = sorted({float(x) for points in plot.series.values() for x, _ in points})
    # Each measured place is named, unless there are too many to read.
    if len(places) <= 6:
        axes.set_xticks(places)
        axes.minorticks_off()
    if not plot.log_y:
        axes.set_ylim(bottom=0)
    if plot.limit is not None:
        axes.axhline(plot.limit, color=_GOAL, linestyle="--", linewidth=1.2, label="goal")


def _bars(axes: Axes, plot: Plot, names: Sequence[str]) -> None:
    width = 0.8 / max(len(plot.series), 1)
    for number, (name, points) in enumerate(plot.series.items()):
        found = {str(x): y for x, y in points}
        left = [place - 0.4 + width * (number + 0.5) for place, x in enumerate(names) if x in found]
        bars = axes.bar(
            left,
            [found[x] for x in names if x in found],
            width * 0.92,
            label=name,
            color=_COLOURS[number % len(_COLOURS)],
            hatch=_HATCHES[number % len(_HATCHES)],
            edgecolor="white",
            linewidth=0.5,
        )
        if len(names) * len(plot.series) <= 24:
            axes.bar_label(bars, fmt=_digits, fontsize=8, padding=2)
    axes.margins(y=0.08)
    room = max(8, 100 // max(len(names), 1))
    wrapped = ["\n".join(line for part in name.split("\n") for line in textwrap.wrap(part, room)) for name in names]
    axes.set_xticks(range(len(names)), wrapped, fontsize=9)
    axes.set_xlabel(plot.x_label)
    _scale(axes, "y", plot.y_label, is_log=plot.log_y)
    if plot.limit is not None:
        axes.axhline(plot.limit, color=_GOAL, linestyle="--", linewidth=1.2, label="goal")


def _dots(axes: Axes, plot: Plot, names: Sequence[str]) -> None:
    for (name, points), colour, marker in zip(
        plot.series.items(), itertools.cycle(_COLOURS), itertools.cycle(_MARKERS), strict=False
    ):
        axes.plot(
            [y for _, y in points],
            [names.index(str(x)) for x, _ in points],
            color=colour,
            marker=marker,
            label=name,
            linestyle="none",
            markersize=6,
            alpha=0.85,
        )
    axes.set_yticks(range(len(names)), list(names), fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    _scale(axes, "x", plot.y_label, is_log=plot.log_y)
    if plot.limit is not None:
        axes.axvline(plot.limit, color=_GOAL, linestyle="--", linewidth=1.2, label="goal")


def _digits(value: float) -> str:
    """A bar's height with two or three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
