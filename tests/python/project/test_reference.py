"""docs/reference.md says what a fresh installation says of itself, and columns are described where they are ours."""

from __future__ import annotations

from devtools.fixtures import Connection, MakeDatabase
from devtools.reference import REFERENCE, reference
from devtools.servers import Server


def test_the_reference_is_what_a_fresh_installation_generates(db: Connection) -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(db), "run make reference"


def test_the_reference_has_every_function_that_may_be_called_and_every_setting_table_index_trigger_and_job(
    db: Connection,
) -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    for heading, query in {
        "\n#### {}\n": "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname !~ '^_'"
        " AND oid NOT IN (SELECT d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid"
        " WHERE d.deptype = 'e' AND e.extname <> 'gravity_memory')",
        "\n### {}\n": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
        "\n| `{}` |": "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexname !~ '_pkey$'"
        " UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
        " UNION ALL SELECT name FROM gravity_memory_settings()"
        " UNION ALL SELECT job_name FROM _gravity_memory_job_catalogue()",
    }.items():
        names = [str(row[0]) for row in db.execute(query.encode()).fetchall()]
        assert len(names) > 10
        assert [name for name in names if heading.format(name) not in text] == []


def test_a_comment_that_changes_changes_the_reference(db: Connection) -> None:
    before = reference(db)
    db.execute("COMMENT ON FUNCTION cleanup_old_cache() IS 'Deletes nothing.'")
    db.execute("COMMENT ON COLUMN gravity_map.topic IS 'Something else.'")
    changed = set(reference(db).splitlines()) - set(before.splitlines())
    assert {line.split("|")[-2].strip() if "|" in line else line for line in changed} == {
        "Deletes nothing.",
        "Something else.",
    }


def test_an_adopted_table_keeps_its_owners_comments_and_the_lack_of_them(
    server: Server, make_database: MakeDatabase
) -> None:
    with server.connect(make_database(["vector"])) as connection:
        connection.execute(
            "CREATE TABLE memory_arcs (id uuid PRIMARY KEY, user_id text NOT NULL, arc_name text NOT NULL)"
        )
        connection.execute("COMMENT ON COLUMN memory_arcs.arc_name IS 'theirs'")
        connection.execute("CREATE EXTENSION gravity_memory")
        described = (
            "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = %s::regclass"
            " AND attnum > 0 AND col_description(attrelid, attnum) IS NOT NULL"
        )
        assert connection.execute(described, ("memory_arcs",)).fetchall() == [("arc_name", "theirs")]
        # On a table that setup made, what it finds is the owner's, too; what is missing it brings back.
        connection.execute("COMMENT ON COLUMN gravity_map.topic IS 'theirs'")
        connection.execute("COMMENT ON COLUMN gravity_map.summary IS NULL")
        connection.execute("SELECT gravity_memory_setup()")
        comments: dict[str, str] = dict(connection.execute(described, ("gravity_map",)).fetchall())
        assert comments["topic"] == "theirs"
        assert comments["summary"] == "A shorter form, by the application; no function goes by it."
