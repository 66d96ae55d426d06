"""What the benchmark says of concurrent clients is what pgbench saw."""

from __future__ import annotations

import numpy as np
import pytest

from bench.suite.contestants import GRAVITY
from bench.suite.load import Observed, Script, joined, run_clients
from devtools.fixtures import MakeDatabase
from devtools.servers import Server, ServerError

SCRIPTS = {"quick": Script("SELECT 1;\n", 3), "slow": Script("SELECT pg_sleep(0.05);\n", 1)}


def test_each_scripts_transactions_are_told_apart(server: Server, make_database: MakeDatabase) -> None:
    load = run_clients(server, make_database(), GRAVITY, SCRIPTS, clients=2, seconds=1)
    quick, slow = load.observed["quick"], load.observed["slow"]
    assert len(quick.milliseconds) > 0
    assert len(slow.milliseconds) > 0
    assert slow.milliseconds.min() >= 50
    assert quick.milliseconds.min() < 50
    assert np.all(np.diff(quick.ended) >= 0)


def test_a_statement_that_fails_is_an_error(server: Server, make_database: MakeDatabase) -> None:
    scripts = {"wrong": Script("SELECT * FROM there_is_no_such_table;\n")}
    with pytest.raises(ServerError, match="there_is_no_such_table"):
        run_clients(server, make_database(), GRAVITY, scripts, clients=1, seconds=1)


def test_a_transaction_counts_as_long_as_it_was_under_way() -> None:
    observed = Observed(ended=np.array([10.0, 11.0, 14.0]), milliseconds=np.array([500.0, 900.0, 3500.0]))
    assert observed.between(10.2, 10.4).ended.tolist() == [11.0]
    assert observed.between(10.2, 10.5).ended.tolist() == [11.0, 14.0]
    assert observed.between(9.6, 9.7).ended.tolist() == [10.0]
    assert observed.between(20.0, 21.0).percentile(99) is None


def test_loads_one_after_the_other_are_one_load() -> None:
    first, second = (Observed(np.array([at]), np.array([1.0])) for at in (1.0, 2.0))
    assert joined([first, second]).ended.tolist() == [1.0, 2.0]
