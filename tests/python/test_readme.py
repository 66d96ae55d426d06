"""The SQL that the documentation shows runs, and returns what the documentation says."""

from __future__ import annotations

import re
from typing import Any

from devtools import REPO
from devtools.fixtures import MakeDatabase
from devtools.servers import Server


def sql_statements(document: str) -> list[str]:
    """The statements in the document's ```sql blocks, in order, without their comments."""
    text = (REPO / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    source = re.sub(r"--.*$", "", "\n".join(blocks), flags=re.MULTILINE)
    return [statement.strip() for statement in source.split(";") if statement.strip()]


def run(server: Server, database: str, statements: list[str]) -> dict[str, list[tuple[Any, ...]]]:
    """Run the statements in one session; the rows of each, by statement."""
    rows: dict[str, list[tuple[Any, ...]]] = {}
    with server.connect(database) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
            rows[statement] = cursor.fetchall() if cursor.description else []
    return rows


def test_the_tour_of_the_readme_runs_and_shows_what_it_says(server: Server, make_database: MakeDatabase) -> None:
    rows = run(server, make_database([]), sql_statements("README.md"))

    (tags,) = (found for statement, found in rows.items() if "meta_tags, identity_anchor" in statement)
    assert [(set(row[1]), row[2], row[3]) for row in tags] == [
        ({"high_gravity", "identity"}, True, "past"),
        (set(), False, "present"),
        (set(), False, "future"),
    ]
    (arcs,) = (found for statement, found in rows.items() if "memory_count, round" in statement)
    shown = re.search(r"--  (joy arc .*)$", (REPO / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert shown is not None
    assert [str(value) for value in arcs[0]] == [cell.strip() for cell in shown.group(1).split("|")]


def test_the_guides_removal_keeps_every_memory(server: Server, make_database: MakeDatabase) -> None:
    database = make_database()
    with server.connect(database) as connection:
        connection.execute("INSERT INTO gravity_map (user_id, content) VALUES ('reader', 'kept')")
    run(server, database, sql_statements("docs/guide.md"))
    with server.connect(database) as connection:
        assert connection.execute("SELECT content FROM gravity_map").fetchall() == [("kept",)]
        assert connection.execute("SELECT count(*) FROM pg_extension WHERE extname = 'gravity_memory'").fetchone() == (
            0,
        )


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in [*REPO.glob("*.md"), *REPO.glob("docs/*.md"), *REPO.glob("bench/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
