"""The benchmark runs, its report says what was measured, and what fails does not take the rest with it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bench.suite.__main__ import main
from bench.suite.bench import Bench, Stage
from bench.suite.contestants import GRAVITY
from bench.suite.exact import nearest
from bench.suite.latency import latencies
from bench.suite.part import Part
from bench.suite.parts import PARTS
from bench.suite.plans import explain
from bench.suite.report import ReportError, write_report
from bench.suite.results import Goal, Plot, Result, Table, load, save
from bench.suite.run import Run
from bench.suite.scales import SMOKE, Scale
from bench.suite.source import COLUMNS, HEAVIEST, TAGGED, make_source
from bench.suite.writer import Writer
from bench.vectors import Embeddings, literal
from devtools.fixtures import Connection, MakeDatabase
from devtools.servers import Server

RESULT = Result(
    part="some",
    title="Some part",
    method="What was done.",
    tables=(Table("Times", ("what", "n", "ms"), (("a | b", 1_234_567, 0.01234), (None, 5, 1234.5), ("c", 0, None))),),
    goals=(
        Goal("the time", "at most 5 ms", "3 ms", True),
        Goal("the rows", "10", "9", False, "one is lost"),
        Goal("growth", "none", "2", None),
    ),
    plots=(
        Plot("times", "Times", "rows", "ms", {"a": ((10, 1.0), (1000, 2.0)), "b": ((10, 3.0),)}, log_x=True, limit=2.0),
        Plot("shares", "Shares", "", "%", {"a": (("one", 1.0), ("two", 2.0))}, kind="bars"),
        Plot("many", "Many", "", "ms", {"a": tuple((f"name {n}", n + 0.1) for n in range(30))}, "dots", log_y=True),
    ),
    scale="full",
    machine={"processor": "2 x Some"},
    seconds=12.3,
    date="2026-01-31",
)


def test_every_part_leaves_a_result_and_the_report_shows_all_of_them(tmp_path: Path) -> None:
    assert main(["--scale", "smoke", "--output", str(tmp_path)]) == 0
    results = {path.stem: load(path) for path in (tmp_path / "data").iterdir()}
    assert set(results) == {part.name for part in PARTS}
    report = (tmp_path / "README.md").read_text()
    for name, result in results.items():
        assert result.tables, name
        assert all(table.rows for table in result.tables), name
        assert result.missing == "", name
        assert result.scale == "smoke", name
        assert result.machine["PostgreSQL"].startswith("18"), name
        assert f"## {result.title}\n" in report
        for goal in result.goals:
            assert goal.what in report
        for plot in result.plots:
            assert f"({plot.name}.png)" in report
            assert 0 < (tmp_path / f"{plot.name}.png").stat().st_size < 100_000, plot.name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--parts", "nonsense"], "invalid choice: 'nonsense'"),
        (["--scale", "huge"], "invalid choice: 'huge'"),
        (["--major", "15"], "invalid choice: 15"),
        (["--output", __file__], "is not a folder"),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_a_report_without_results_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--report-only", "--output", str(tmp_path)]) == 1
    assert "There are no results" in capsys.readouterr().err
    assert not (tmp_path / "README.md").exists()


def test_a_result_of_another_version_is_named(tmp_path: Path) -> None:
    save(RESULT, tmp_path / "data")
    (tmp_path / "data" / "old.json").write_text(json.dumps({"part": "old"}))
    with pytest.raises(ReportError, match=r"old\.json is not a result of this version"):
        write_report(tmp_path, [])


def test_a_result_is_read_as_it_was_saved(tmp_path: Path) -> None:
    assert load(save(RESULT, tmp_path)) == RESULT
    again = dataclasses.replace(RESULT, seconds=1.0)
    assert load(save(again, tmp_path)) == again


def test_the_report_says_what_is_met_and_what_is_not_and_is_the_same_every_time(tmp_path: Path) -> None:
    other = dataclasses.replace(
        RESULT, part="another", title="Another part", plots=(), scale="quick", missing="all but one"
    )
    for result in (other, RESULT):
        save(result, tmp_path / "data")
    report = write_report(tmp_path, ["some", "another"]).read_text()
    assert "2 of 6 goals are met, 2 missed; 2 cannot be judged" in report
    assert "| [Some part](#some-part) | the rows | 10 | 9 | **missed** | one is lost |" in report
    assert "| [Another part](#another-part) (quick) | the time | at most 5 ms | 3 ms | met |  |" in report
    assert report.index("## Some part") < report.index("## Another part")
    assert "**Measured at the scale `quick`, not `full`.**" in report
    assert "**Incomplete: all but one.**" in report
    assert "| a \\| b | 1,234,567 | 0.0123 |" in report
    assert "|  | 5 | 1,234 |" in report
    assert "| c | 0 |  |" in report
    assert "| --- | ---: | ---: |" in report
    drawn = {path.name: path.read_bytes() for path in tmp_path.glob("*.png")}
    assert set(drawn) == {"times.png", "shares.png", "many.png"}
    for name in drawn:
        with Image.open(tmp_path / name) as image:
            assert image.width >= 800, name
            # Not an empty frame: there are more colours than those of text and grid.
            assert len(image.convert("RGB").getcolors(1 << 16) or ()) > 10, name
    assert write_report(tmp_path, ["some", "another"]).read_text() == report
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.png")} == drawn


class _Given(Part):
    """Reports nothing in particular."""

    title: ClassVar[str] = "Given"

    def sizes(self, scale: Scale) -> tuple[int, ...]:
        return ()

    def result(self, bench: Bench) -> Result:
        return Result(self.name, self.title, "", ())


class _First(_Given):
    name: ClassVar[str] = "first"


class _Broken(_Given):
    name: ClassVar[str] = "broken"

    def result(self, bench: Bench) -> Result:
        raise ValueError("nothing to divide by")


class _Interrupted(_Given):
    name: ClassVar[str] = "interrupted"

    def result(self, bench: Bench) -> Result:
        raise KeyboardInterrupt


class _Last(_Given):
    name: ClassVar[str] = "last"


class _Growing(_Given):
    """Fails where there are too many memories."""

    name: ClassVar[str] = "growing"
    most: ClassVar[int] = 10

    def __init__(self) -> None:
        self._done: list[int] = []

    def sizes(self, scale: Scale) -> tuple[int, ...]:
        return (1, 10, 100)

    def measure(self, bench: Bench, stage: Stage) -> None:
        if stage.memories > self.most:
            raise ValueError("too many")
        self._done.append(stage.memories)

    def result(self, bench: Bench) -> Result:
        return Result(self.name, self.title, str(self._done), ())


class _Stages(Bench):
    """Stages without a database."""

    fails_at = 1000

    @contextlib.contextmanager
    def stage(self, memories: int) -> Iterator[Stage]:
        if memories == self.fails_at:
            raise OSError("no space left")
        yield Stage("", memories, 8)


@pytest.fixture
def bench(server: Server) -> _Stages:
    """A bench that says nothing."""
    return _Stages(SMOKE, server, Console(quiet=True))


def test_a_part_that_fails_does_not_keep_the_others_from_running(bench: Bench, tmp_path: Path) -> None:
    failures = Run(bench, [_First(), _Broken(), _Last()], tmp_path).measure()
    assert failures == ["broken: ValueError: nothing to divide by"]
    assert {path.stem for path in (tmp_path / "data").iterdir()} == {"first", "last"}


def test_an_interrupted_run_keeps_what_is_done(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Run(bench, [_First(), _Interrupted(), _Last()], tmp_path).measure()
    assert {path.stem for path in (tmp_path / "data").iterdir()} == {"first"}


def test_a_part_that_fails_at_the_largest_size_keeps_the_smaller_ones(bench: Bench, tmp_path: Path) -> None:
    failures = Run(bench, [_Growing()], tmp_path).measure()
    assert failures == ["growing, 100 memories: ValueError: too many"]
    result = load(tmp_path / "data" / "growing.json")
    assert (result.method, result.missing) == ("[1, 10]", "100 memories: ValueError: too many")


def test_databases_that_cannot_be_made_are_left_out_for_all_parts(bench: _Stages, tmp_path: Path) -> None:
    bench.fails_at = 10
    failures = Run(bench, [_Growing(), _First()], tmp_path).measure()
    assert failures[0] == "the databases of 10 memories: OSError: no space left"
    assert load(tmp_path / "data" / "growing.json").missing != ""
    assert (tmp_path / "data" / "first.json").exists()


def test_slow_statements_are_called_fewer_times(db: Connection) -> None:
    kept: list[tuple[str, int, int]] = []
    found = latencies(
        {"quick": db, "slow": db},
        {"quick": "SELECT g FROM generate_series(1, %(n)s) AS g", "slow": "SELECT pg_sleep(0.02) WHERE %(n)s > 0"},
        [{"n": n} for n in range(1, 41)],
        patience=0.1,
        keep=lambda name, number, rows: kept.append((name, number, len(rows))),
    )
    assert (found["quick"].calls, found["slow"].calls) == (40, 5)
    assert (found["quick"].rows, found["quick"].fewest) == (20.5, 1)
    assert found["slow"].p99 >= found["slow"].p50 >= 20
    assert [rows for name, _, rows in kept if name == "quick"] == list(range(1, 41))


@pytest.fixture(scope="module")
def memories(server: Server) -> Iterator[Connection]:
    """A database with 2,000 memories in source.memories, and gravity_memory."""
    name = "gravity_memory_bench_source"
    server.drop_database(name)
    server.create_database(name, extensions=["vector"])
    try:
        with server.connect(name) as connection:
            connection.execute("SET gravity_memory.embedding_dimensions = 16")
            connection.execute("CREATE EXTENSION gravity_memory")
            made: list[int] = []
            make_source(connection, 2_000, 16, tick=made.append)
            assert sum(made) == 2_000
            yield connection
    finally:
        server.drop_database(name)


def test_the_memories_are_skewed_and_in_the_order_of_time(memories: Connection) -> None:
    found = memories.execute(
        "SELECT count(*), count(DISTINCT user_id), count(*) FILTER (WHERE user_id = %s), max(created_at) <= now(),"
        " bool_and(created_at >= before), count(DISTINCT id), count(embedding)"
        " FROM (SELECT *, lag(created_at) OVER (ORDER BY n) AS before FROM source.memories) AS m",
        (HEAVIEST,),
    ).fetchone()
    assert found is not None
    count, users, heaviest, none_later, in_order, ids, embeddings = found
    assert (count, none_later, in_order, ids, embeddings) == (2_000, True, True, 2_000, 2_000)
    assert 0.06 < heaviest / count < 0.1
    assert users > 500


def test_what_triggers_would_set_is_what_the_source_holds(memories: Connection) -> None:
    with memories.transaction(force_rollback=True):
        memories.execute(f"INSERT INTO gravity_map ({COLUMNS}) SELECT {COLUMNS} FROM source.memories".encode())
        # Topics are the application's own tags.
        memories.execute(
            "UPDATE source.memories SET meta_tags = (SELECT COALESCE(array_agg(t ORDER BY t), '{}')"
            " FROM unnest(meta_tags) AS t WHERE t !~ '^topic:')"
        )
        memories.execute(
            "UPDATE gravity_map SET meta_tags = (SELECT COALESCE(array_agg(t ORDER BY t), '{}')"
            " FROM unnest(meta_tags) AS t)"
        )
        columns = f"id, {TAGGED}"
        different = memories.execute(
            f"SELECT {columns} FROM source.memories EXCEPT SELECT {columns} FROM gravity_map LIMIT 5".encode()
        ).fetchall()
    assert different == []


def test_the_exact_answer_is_the_one_of_a_full_scan(memories: Connection) -> None:
    queries = Embeddings(16, seed=5).draw(5)
    found = nearest(memories, f"user_id = '{HEAVIEST}'", 16, queries, 10)
    for query, ids in zip(queries, found, strict=True):
        rows = memories.execute(
            "SELECT id FROM source.memories WHERE user_id = %s ORDER BY embedding <=> %s::vector LIMIT 10",
            (HEAVIEST, literal(query)),
        ).fetchall()
        assert ids == [row[0] for row in rows]
    few = nearest(memories, "n < 3", 16, np.asarray(queries[:1]), 10)
    assert len(few[0]) == 3


def test_a_sort_that_an_index_would_spare_is_seen_and_one_of_all_rows_wanted_is_not(memories: Connection) -> None:
    query = "SELECT n FROM source.memories WHERE user_id = %(user)s ORDER BY created_at DESC LIMIT 10"
    plan = explain(memories, query, {"user": HEAVIEST})
    assert plan.sorted_rows is not None
    assert plan.sorted_rows > 100
    assert plan.sorts_in_vain(query)
    assert plan.indexes == {"memories_user_id_n_idx"}
    assert plan.scanned == set()
    light = "SELECT n FROM source.memories WHERE n < 10 ORDER BY created_at DESC LIMIT 10"
    assert not explain(memories, light, {}).sorts_in_vain(light)
    whole = explain(memories, "SELECT count(*) FROM source.memories WHERE content LIKE %(end)s", {"end": "%x"})
    assert whole.scanned == {"memories"}


def test_a_writer_tells_how_long_a_lock_made_it_wait(server: Server, make_database: MakeDatabase) -> None:
    database = make_database()
    with server.connect(database) as connection:
        connection.execute("CREATE SCHEMA source")
        connection.execute("CREATE SCHEMA gravity")
        connection.execute(
            "CREATE TABLE source.memories AS SELECT 0 AS n, user_id, thread_id, session_id, content, gravity_score,"
            " emotion_type, entities, embedding FROM gravity_map"
        )
        connection.execute("INSERT INTO source.memories (n, user_id) VALUES (0, 'somebody')")
        connection.execute("CREATE TABLE gravity.gravity_map (LIKE gravity_map INCLUDING DEFAULTS)")
        with Writer(lambda: server.connect(database), GRAVITY) as writer:
            connection.execute("SELECT pg_sleep(0.3)")
            free = writer.longest()
            with connection.transaction():
                connection.execute("LOCK TABLE gravity.gravity_map IN SHARE MODE")
                connection.execute("SELECT pg_sleep(0.5)")
                blocked = writer.longest()
                connection.execute("SELECT pg_sleep(0.3)")
            rest = writer.longest()
        assert 0 < free < blocked
        assert blocked >= 0.3
        # What was told before is not told again.
        assert rest < blocked + 0.2
        assert connection.execute("SELECT count(*) FROM gravity.gravity_map").fetchone() == (0,)
