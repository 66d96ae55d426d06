"""Plain text for a terminal of 80 to 100 columns: headings, wrapped sentences, SQL, aligned tables. No colours."""

import shutil
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NARROWEST = 80
WIDEST = 100
ELLIPSIS = "..."
INDENT = "   "
GAP = "  "


def text_width(text: str) -> int:
    """How many terminal cells a text takes: 2 for a wide (East Asian) character, 0 for a combining one."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def fit(text: str, width: int) -> str:
    """The text on one line, shortened with an ellipsis so that it takes at most ``width`` cells."""
    line = " ".join(text.split())
    if text_width(line) <= width:
        return line
    while line and text_width(line) > width - len(ELLIPSIS):
        line = line[:-1]
    return line.rstrip() + ELLIPSIS


@dataclass(frozen=True)
class Column:
    """One column of a table. Of a table's columns at most one is ``flexible``: it is cut to what the line has left."""

    header: str
    right: bool = False
    flexible: bool = False


class Terminal:
    """Writes to standard output, at most ``width`` cells wide."""

    def __init__(self) -> None:
        self.width = min(max(shutil.get_terminal_size((WIDEST, 24)).columns, NARROWEST), WIDEST)
        self._headings = 0

    def heading(self, title: str) -> None:
        """Begins the next numbered section."""
        self._headings += 1
        line = f"{self._headings}. {title} "
        print(f"\n{line}{'-' * (self.width - text_width(line))}", flush=True)

    def say(self, text: str) -> None:
        """A sentence or two, wrapped."""
        self._wrapped(text, INDENT, INDENT)

    def sql(self, statement: str) -> None:
        """The statement that did it, as it was sent except for line breaks."""
        self._wrapped(" ".join(statement.split()), f"{INDENT}SQL: ", f"{INDENT}     ")

    def line(self, text: str = "") -> None:
        """One line as it stands, indented, cut at the width."""
        print(f"{INDENT}{text}"[: self.width].rstrip(), flush=True)

    def hanging(self, text: str) -> None:
        """One line as it stands; what does not fit continues below, further in."""
        depth = INDENT + " " * (len(text) - len(text.lstrip()))
        self._wrapped(text.strip(), depth, depth + " " * 8)

    def raw(self, text: str) -> None:
        """One line that must not be cut: something to copy."""
        print(f"{INDENT}{text}", flush=True)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
        """An aligned table after an empty line; None prints as '-'."""
        cells = [[self._cell(value) for value in row] for row in rows]
        widths = [
            max([text_width(column.header), *(text_width(row[index]) for row in cells)])
            for index, column in enumerate(columns)
        ]
        for index, column in enumerate(columns):
            if column.flexible:
                others = sum(widths) - widths[index]
                left = self.width - len(INDENT) - others - len(GAP) * (len(columns) - 1)
                widths[index] = min(widths[index], max(left, len(column.header)))
        print()
        for row in [[column.header for column in columns], ["-" * width for width in widths], *cells]:
            self.line(self._row(columns, widths, row))

    def row(self, columns: Sequence[Column], widths: Sequence[int], values: Sequence[object]) -> None:
        """One row of a table that is printed while its rows come in, with widths chosen beforehand."""
        self.line(self._row(columns, widths, [self._cell(value) for value in values]))

    @staticmethod
    def _cell(value: object) -> str:
        return "-" if value is None else " ".join(str(value).split())

    @staticmethod
    def _row(columns: Sequence[Column], widths: Sequence[int], values: Sequence[str]) -> str:
        parts = []
        for column, width, value in zip(columns, widths, values, strict=True):
            text = fit(value, width)
            padding = " " * (width - text_width(text))
            parts.append(padding + text if column.right else text + padding)
        return GAP.join(parts)

    def _wrapped(self, text: str, first: str, following: str) -> None:
        for line in textwrap.wrap(
            text,
            self.width,
            initial_indent=first,
            subsequent_indent=following,
            break_on_hyphens=False,
            break_long_words=False,
        ):
            print(line, flush=True)
