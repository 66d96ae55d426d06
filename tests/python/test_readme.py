"""The SQL that the documentation shows runs, and returns what the documentation says."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from devtools import REPO
from devtools.fixtures import Connection, MakeDatabase
from devtools.servers import Server

_BLOCK = r"^```{fence}\n(.*?)^```"
_COMMENT = re.compile(r"--.*$", re.MULTILINE)
# A statement ends with the line; what psql prints for it may follow, behind comment signs.
_STATEMENT = re.compile(r"(?P<sql>.*?;)[ \t]*(?:--[^\n]*)?\n(?P<shown>(?:--[^\n]*\n)*)", re.DOTALL)
_MARK = "= end of statement ="


@dataclass(frozen=True)
class Example:
    """A statement in the documentation, and the lines shown below it: what psql prints, or none."""

    sql: str
    shown: list[str]


def examples(document: str, fence: str = "sql") -> list[Example]:
    """The statements in the document's ```sql blocks, or another fence's, in order. What is no statement fails."""
    text = (REPO / document).read_text(encoding="utf-8")
    found = []
    for block in re.findall(_BLOCK.format(fence=fence), text, re.MULTILINE | re.DOTALL):
        rest = _STATEMENT.sub("", block)
        assert not _COMMENT.sub("", rest).strip(), f"{document}: {rest!r} is no statement"
        for match in _STATEMENT.finditer(block):
            shown = [line.removeprefix("--").removeprefix(" ").rstrip() for line in match["shown"].splitlines()]
            found.append(Example(match["sql"].strip(), shown))
    return found


def printed(server: Server, database: str, statements: list[Example]) -> list[list[str]]:
    """What psql prints for each statement, all in one session, without the number of rows."""
    script = "".join(f"{example.sql}\n\\echo {_MARK}\n" for example in statements)
    options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--pset=footer=off", "--file=-")
    done = server.client("psql", *options, database=database, input=script.encode())
    parts = done.stdout.decode().split(f"{_MARK}\n")[:-1]
    assert len(parts) == len(statements)
    return [[line.rstrip() for line in part.strip("\n").splitlines()] for part in parts]


@pytest.mark.parametrize(
    ("document", "least_shown"),
    [
        ("README.md", 2),
        ("docs/recall.md", 8),
        ("docs/operations.md", 5),
        ("docs/realtime.md", 1),
        ("docs/security.md", 2),
        ("docs/troubleshooting.md", 10),
        ("docs/tuning.md", 1),
    ],
)
def test_what_a_document_shows_is_what_psql_prints(
    server: Server, make_database: MakeDatabase, document: str, least_shown: int
) -> None:
    statements = examples(document)
    outputs = printed(server, make_database([]), statements)
    shown = [(example.sql, example.shown, output) for example, output in zip(statements, outputs, strict=True)]
    assert [(sql, said) for sql, said, _ in shown if said] == [(sql, output) for sql, said, output in shown if said]
    assert sum(bool(said) for _, said, _ in shown) >= least_shown


def test_the_tour_of_the_readme_tags_as_it_says(server: Server, make_database: MakeDatabase) -> None:
    statements = examples("README.md")
    database = make_database([])
    printed(server, database, [one for one in statements if "teardown" not in one.sql])
    with server.connect(database) as connection:
        rows = connection.execute("SELECT meta_tags, identity_anchor, temporal_type FROM gravity_map").fetchall()
    assert [(set(row[0]), row[1], row[2]) for row in rows] == [
        ({"high_gravity", "identity"}, True, "past"),
        (set(), False, "present"),
        (set(), False, "future"),
    ]


def test_the_guides_removal_keeps_every_memory_and_creating_it_again_takes_them_up(
    server: Server, make_database: MakeDatabase
) -> None:
    database = make_database()
    statements = examples("docs/backup.md")
    (dropped,) = (place for place, one in enumerate(statements) if one.sql.startswith("DROP EXTENSION"))
    memories = "SELECT user_id, content FROM gravity_map"
    installed = "SELECT count(*) FROM pg_extension WHERE extname = 'gravity_memory'"
    with server.connect(database) as connection:
        connection.execute("INSERT INTO gravity_map (user_id, content) VALUES ('reader', 'kept')")
        printed(server, database, [*examples("docs/guide.md"), *statements[: dropped + 1]])
        assert connection.execute(memories).fetchall() == [("reader", "kept")]
        assert connection.execute(installed).fetchone() == (0,)
        printed(server, database, statements[dropped + 1 :])
        assert connection.execute(memories).fetchall() == [("reader", "kept")]
        assert connection.execute("SELECT content FROM recall_memories('reader', 'kept')").fetchall() == [("kept",)]


def test_the_guide_drops_every_table(db: Connection) -> None:
    text = (REPO / "docs/backup.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^DROP TABLE (.*?);", text, re.MULTILINE | re.DOTALL)
    made = db.execute("SELECT table_name FROM _gravity_memory_table_catalogue()").fetchall()
    assert sorted(re.split(r",\s*", listed)) == sorted(row[0] for row in made)


def test_the_guide_lists_every_setting_with_its_default(db: Connection) -> None:
    text = (REPO / "docs/guide.md").read_text(encoding="utf-8")
    section = text.split("\n## Settings\n")[1].split("\n## ")[0]
    listed: dict[str, str] = {}
    for names, defaults in re.findall(r"^\| (`.*?) \| (.*?) \|", section, re.MULTILINE):
        shown = re.findall(r"`(.*?)`", defaults)
        named = re.findall(r"`(.*?)`", names)
        # Only the patterns are too long for a table.
        assert len(shown) == (0 if "pattern" in names else len(named)), names
        listed |= dict(zip(named, shown or named, strict=True))
    actual: dict[str, str] = dict(db.execute('SELECT name, "default" FROM gravity_memory_settings()').fetchall())
    assert listed == {name: name if "pattern" in name else value for name, value in actual.items()}


def test_operations_say_what_to_do_about_every_finding() -> None:
    section = (REPO / "docs/operations.md").read_text(encoding="utf-8").split("\n## What to do by finding\n")[1]
    listed = [
        name for names in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall("`(.*?)`", names)
    ]
    returned: set[str] = set()
    for path in REPO.glob("sql/monitoring/*_findings.sql"):
        source = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
        # Right after its severity, or, where one row of VALUES is a finding, at its beginning.
        returned |= set(re.findall(r"(?:'(?:error|warning|notice)'(?: END)?|''error''|v_severity), '+(\w+)'", source))
        if "AS f (finding, problem" in source:
            returned |= set(re.findall(r"\('(\w+_\w+)',\s*(?:'|format|CASE)", source))
    assert len(returned) > 40
    assert sorted(listed) == sorted(returned)


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in [*REPO.glob("*.md"), *REPO.glob("docs/*.md"), *REPO.glob("bench/*.md")]:
        for target, anchor in re.findall(
            r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", document.read_text(encoding="utf-8")
        ):
            linked = document.parent / target if target else document
            assert linked.exists(), f"{document.name} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
                names = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
                assert anchor in names, f"{document.name} links to {target}#{anchor}"
