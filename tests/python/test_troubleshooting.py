"""Messages in the troubleshooting guide are those that are said, figures in the tuning guide are measured."""

from __future__ import annotations

import re
from collections.abc import Sequence

import psycopg
import pytest

from devtools import REPO
from devtools.fixtures import Connection, MakeDatabase, MakeRole
from devtools.servers import Server

_QUOTED = re.compile(r"`(ERROR|WARNING|NOTICE): ([^`]+)`")
_RAISED = re.compile(r"RAISE (EXCEPTION|WARNING|NOTICE) '((?:[^']|'')+)'")
# A format with less text of its own than this fits everything.
_TELLING = 16


def quoted() -> list[tuple[str, str]]:
    """Severity and message of every one in the document, `...` for what differs."""
    text = " ".join((REPO / "docs/troubleshooting.md").read_text(encoding="utf-8").split())
    return _QUOTED.findall(text)


def raised() -> list[tuple[str, re.Pattern[str]]]:
    """Severity and message of every one that our functions raise."""
    found = []
    for path in sorted((REPO / "sql").glob("*/*.sql")):
        for kind, message in _RAISED.findall(path.read_text(encoding="utf-8")):
            literals = [part.replace("\0", "%") for part in message.replace("''", "'").replace("%%", "\0").split("%")]
            if sum(map(len, literals)) >= _TELLING:
                pattern = ".+".join(map(re.escape, literals))
                found.append(("ERROR" if kind == "EXCEPTION" else kind, re.compile(pattern)))
    return found


def provoke(connection: Connection, statements: Sequence[str]) -> list[str]:
    """The message of each statement that fails; those that succeed prepare the others."""
    said = []
    for statement in statements:
        try:
            connection.execute(statement.encode())
        except psycopg.Error as error:
            said.append(error.diag.message_primary or "")
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.execute("ROLLBACK")
    return said


def test_every_message_that_troubleshooting_quotes_is_said(
    server: Server, make_database: MakeDatabase, make_role: MakeRole, db: Connection
) -> None:
    ours = raised()
    assert len(ours) > 50
    others = [
        message
        for severity, message in quoted()
        if not any(severity == kind and pattern.fullmatch(message) for kind, pattern in ours)
    ]
    assert len(quoted()) - len(others) > 20
    role = make_role()
    with server.connect(make_database([])) as bare:
        said = provoke(
            bare,
            [
                "CREATE EXTENSION gravity_memory",
                "CREATE EXTENSION not_there",
                "SELECT recall_memories('ana', 'x')",
                "SELECT count(*) FROM gravity_map",
                "SELECT '[1]'::vector",
                f"SET ROLE {role}",
                "CREATE EXTENSION vector",
            ],
        )
    assert len(said) == 6
    with server.connect(db.info.dbname) as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE gravity_map")
        said += provoke(
            db, ["SET lock_timeout = '1ms'", "ALTER TABLE gravity_map ADD COLUMN z integer", "RESET lock_timeout"]
        )
        holder.execute("ROLLBACK")
    said += provoke(
        db,
        [
            "INSERT INTO gravity_map (user_id, embedding) VALUES ('ana', '[1, 2]')",
            "INSERT INTO gravity_map (user_id, embedding) VALUES ('ana', '[NaN]')",
            "INSERT INTO gravity_map (user_id, gravity_score) VALUES ('ana', 1.2)",
            "INSERT INTO gravity_map (content) VALUES ('whose?')",
            "INSERT INTO gravity_map (user_id) SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) AS n",
            "SELECT pg_notify('x', repeat('x', 8000))",
            "EXECUTE not_prepared",
            "DROP EXTENSION gravity_memory",
            "CREATE SCHEMA elsewhere",
            "ALTER EXTENSION gravity_memory SET SCHEMA elsewhere",
            "SET default_transaction_read_only = on",
            "INSERT INTO gravity_map (user_id) VALUES ('ana')",
            "RESET default_transaction_read_only",
            "BEGIN",
            "CALL gravity_memory_rebuild_recall()",
            f"SET ROLE {role}",
            "INSERT INTO gravity_map (user_id) VALUES ('ana')",
            "SELECT gravity_memory_set('notify', 'off')",
            "SELECT count(*) FROM memory_digests",
            "SELECT count(*) FROM memory_postings",
            "CALL gravity_memory_rebuild_recall()",
            "COMMENT ON EXTENSION vector IS 'mine'",
            "RESET ROLE",
            "ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY",
            f"GRANT INSERT ON gravity_map TO {role}",
            f"SET ROLE {role}",
            "INSERT INTO gravity_map (user_id) VALUES ('ana')",
        ],
    )
    heard = [message.replace("not_there", "gravity_memory") for message in said]
    patterns = {message: re.compile(".+".join(map(re.escape, message.split("...")))) for message in others}
    assert [message for message, pattern in patterns.items() if not any(map(pattern.fullmatch, heard))] == []
    assert [message for message in heard if not any(pattern.fullmatch(message) for pattern in patterns.values())] == []


@pytest.mark.parametrize("document", ["docs/troubleshooting.md", "docs/tuning.md", "docs/operations.md"])
def test_settings_findings_and_functions_that_a_guide_names_exist(db: Connection, document: str) -> None:
    text = (REPO / document).read_text(encoding="utf-8")
    names = set(re.findall(r"\b(_?gravity_memory_[a-z_]+|memory_changes_\w+|\w+_memories)\(", text))
    known = {str(row[0]) for row in db.execute("SELECT proname FROM pg_proc WHERE proname ~ 'memor'").fetchall()}
    assert len(names) > 5
    assert names - known == set()
    settings = set(re.findall(r"gravity_memory_(?:re)?set\('(\w+)'", text))
    known = {str(row[0]) for row in db.execute("SELECT name FROM gravity_memory_settings()").fetchall()}
    assert settings - known == set()


def test_the_figures_in_the_tables_of_the_tuning_guide_are_the_benchmarks() -> None:
    benchmarks = (REPO / "docs/benchmarks/README.md").read_text(encoding="utf-8")
    by_anchor: dict[str, str] = {}
    for part in re.split(r"^(?=## )", benchmarks, flags=re.MULTILINE):
        for section in [part, *re.split(r"^(?=### )", part, flags=re.MULTILINE)[1:]]:
            heading = section.splitlines()[0].lstrip("# ")
            by_anchor[re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")] = section
    checked = 0
    anchor = ""
    for line in (REPO / "docs/tuning.md").read_text(encoding="utf-8").splitlines():
        linked = re.findall(r"benchmarks/README\.md#([\w-]+)\)", line)
        if linked:
            anchor = linked[-1]
        if line.startswith("## "):
            anchor = ""
        # Cells of figures: what stands in words, or between backticks, is no figure of the benchmark.
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        for cell in cells:
            if re.fullmatch(r"-?[\d,.]+", cell):
                assert re.search(rf"(?<![\d.,]){re.escape(cell)}(?![\d.,]*\d)", by_anchor[anchor]), f"{anchor}: {cell}"
                checked += 1
    assert checked > 80
