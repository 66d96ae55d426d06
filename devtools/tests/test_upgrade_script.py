"""What make puts into an upgrade script: what changed, and nothing that would take away what an owner granted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from devtools import REPO

SAME = "-- Same.\nCREATE FUNCTION @extschema@.same()\nRETURNS void AS $same$ $same$;\n"
REVOKE = "REVOKE EXECUTE ON FUNCTION @extschema@.changed() FROM PUBLIC;\n"
CHANGED = "-- Changed.\nCREATE FUNCTION @extschema@.changed()\nRETURNS void AS $changed$ {} $changed$;\n"
RESULT = "CREATE PROCEDURE @extschema@.result()\nAS $result$ {} $result$;\n"
NEW = (
    "CREATE FUNCTION @extschema@.new()\nRETURNS void AS $new$ $new$;\n"
    "REVOKE EXECUTE ON FUNCTION\n    @extschema@.new() FROM PUBLIC;\n"
)
SCRIPT = "-- Why.\nDO $script$\nBEGIN\nEND\n$script$;\n"
DROP = "DROP PROCEDURE @extschema@.result();\n"


class Sources:
    """A released script of three objects, and the folder sql/ of the version after it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts: list[str] = []
        released = {
            "a/same.sql": SAME,
            "b/changed.sql": CHANGED.format("old") + REVOKE,
            "c/result.sql": RESULT.format("old"),
        }
        text = "\\echo Use CREATE EXTENSION\n" + "".join(
            f"\n-- sql/{path}\n\n{part}" for path, part in released.items()
        )
        (folder / "released.sql").write_text(text)

    def add(self, path: str, text: str) -> None:
        """Add a part, which comes after the others."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)
        self.parts.append(path)

    def build(self) -> subprocess.CompletedProcess[str]:
        """Run what make runs."""
        options = ["-v", "released=released.sql", "-v", "target=2.0.0", "-f", str(REPO / "sql/upgrades/build.awk")]
        return subprocess.run(
            ["awk", *options, *self.parts], cwd=self.folder, capture_output=True, text=True, check=False
        )


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


def test_changed_objects_are_replaced_new_ones_created_and_the_rest_left_out(sources: Sources) -> None:
    sources.add("sql/upgrades/1--2.sql", DROP)
    sources.add("sql/moved/same.sql", SAME)
    sources.add("sql/b/changed.sql", CHANGED.format("new") + REVOKE)
    sources.add("sql/c/result.sql", RESULT.format("new"))
    sources.add("sql/d/new.sql", NEW)
    sources.add("sql/e/script.sql", SCRIPT)
    done = sources.build()
    assert (done.returncode, done.stderr) == (0, "")
    replaced = CHANGED.format("new").replace("CREATE", "CREATE OR REPLACE")
    assert done.stdout == (
        "\\echo Use \"ALTER EXTENSION gravity_memory UPDATE TO '2.0.0'\" to load this file. \\quit\n"
        f"\n-- sql/upgrades/1--2.sql\n\n{DROP}"
        f"\n-- sql/b/changed.sql\n\n{replaced}"
        f"\n-- sql/c/result.sql\n\n{RESULT.format('new')}"
        f"\n-- sql/d/new.sql\n\n{NEW}"
        f"\n-- sql/e/script.sql\n\n{SCRIPT}"
    )


def test_a_revoke_that_the_released_script_lacks_is_kept(sources: Sources) -> None:
    sources.add("sql/upgrades/1--2.sql", DROP)
    sources.add("sql/a/same.sql", SAME + "REVOKE EXECUTE ON FUNCTION @extschema@.same() FROM PUBLIC;\n")
    sources.add("sql/b/changed.sql", CHANGED.format("old") + REVOKE)
    done = sources.build()
    assert done.stdout.endswith("REVOKE EXECUTE ON FUNCTION @extschema@.same() FROM PUBLIC;\n")
    assert "changed" not in done.stdout


def test_an_object_that_loses_its_revoke_is_no_object_that_stays_the_same(sources: Sources) -> None:
    sources.add("sql/upgrades/1--2.sql", DROP)
    sources.add("sql/a/same.sql", SAME)
    sources.add("sql/b/changed.sql", CHANGED.format("old"))
    assert "CREATE OR REPLACE FUNCTION @extschema@.changed()" in sources.build().stdout


def test_an_object_that_is_gone_has_to_be_dropped(sources: Sources) -> None:
    sources.add("sql/a/same.sql", SAME)
    sources.add("sql/b/changed.sql", CHANGED.format("old") + REVOKE)
    done = sources.build()
    assert done.returncode != 0
    assert "PROCEDURE @extschema@.result(" in done.stderr


def test_a_file_with_two_objects_is_refused(sources: Sources) -> None:
    sources.add("sql/upgrades/1--2.sql", DROP)
    sources.add("sql/a/same.sql", SAME + NEW)
    assert "creates 2 functions" in sources.build().stderr


def test_a_missing_file_is_refused(sources: Sources) -> None:
    sources.parts.append("sql/none.sql")
    assert "cannot read sql/none.sql" in sources.build().stderr
