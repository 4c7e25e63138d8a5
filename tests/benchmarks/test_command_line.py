"""Every benchmark runs and tells what it should; how fast it was is nobody's business here.

Those that start many processes run with `make soak`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks import databases
from projects.example.orders.cdnow import find_file
from tests.services import must_answer

ROOT = Path(__file__).resolve().parent.parent.parent


def run_benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@cache
def run_smoke(name: str) -> dict[str, Any]:
    done = run_benchmarks(name, "--smoke", "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def assert_has_shape_of_report(report: dict[str, Any], name: str) -> None:
    assert report["benchmark"] == name
    assert {"cpu", "cores", "python", "django"} <= report["machine"].keys()
    assert all({"table", "name", "values"} == figure.keys() for figure in report["figures"])
    assert report["goals"]
    for goal in report["goals"]:
        assert goal.keys() == {"name", "value", "goal", "met"}
        assert isinstance(goal["met"], bool)
        assert goal["value"] is not None or not goal["met"]


def names_in(report: dict[str, Any], table: str) -> list[str]:
    return [figure["name"] for figure in report["figures"] if figure["table"] == table]


def available_databases(vendors: Sequence[str] = databases.VENDORS) -> list[str]:
    found = [vendor for vendor in vendors if databases.is_available(vendor)]
    if must_answer():
        assert found == list(vendors)
    return found


def test_without_a_name_all_benchmarks_are_listed() -> None:
    done = run_benchmarks()

    assert done.returncode == 0
    assert all(name in done.stdout for name in ("dispatch", "command", "append", "read", "cdnow"))


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    done = run_benchmarks("dispach")

    assert done.returncode == 2
    assert (
        "no benchmark 'dispach'; choose one of: dispatch, command, append, read, project, modes, relay, saga, cdnow, console"
        in done.stderr
    )


def test_dispatch_reports_the_pipeline_and_what_it_is_compared_with() -> None:
    report = run_smoke("dispatch")

    assert_has_shape_of_report(report, "dispatch")
    calls = names_in(report, "no-op, no transaction")
    assert {"plain function call", "whizbang command", "whizbang query"} <= set(calls)
    for vendor in available_databases():
        assert len(names_in(report, f"no-op in a transaction, {vendor}")) == 2


def test_dispatch_names_the_peers_that_are_not_installed() -> None:
    report = run_smoke("dispatch")

    measured = names_in(report, "no-op, no transaction")
    for package in ("mediatr", "pymediator", "lato", "bubus"):
        assert package in measured or any(package in note for note in report["notes"])


def test_command_reports_all_forms_and_sends_no_more_statements_than_the_raw_one() -> None:
    report = run_smoke("command")

    assert_has_shape_of_report(report, "command")
    for vendor in available_databases():
        table = f"one command, {vendor}"
        assert len(names_in(report, table)) == 3
        ours, _, raw = (
            figure["values"]["statements"]
            for figure in report["figures"]
            if figure["table"] == table
        )
        assert ours <= raw


@pytest.mark.soak
def test_append_reports_every_form_beside_the_bare_one_and_a_goal_for_each_pair() -> None:
    report = run_smoke("append")

    assert_has_shape_of_report(report, "append")
    goals = {goal["name"] for goal in report["goals"]}
    bare = {"sqlite": "bare insert", "postgresql": "bare insert"}
    for vendor in available_databases(databases.STORE_VENDORS):
        other = bare.get(vendor, "bare counter row and insert")
        assert {"store.append", other} <= set(names_in(report, f"append, {vendor}, 1 writer"))
        assert f"store.append over {other}, {vendor}, 1 writer" in goals


@pytest.mark.soak
def test_append_runs_several_writers_batches_the_import_and_a_follower() -> None:
    report = run_smoke("append")
    if "postgresql" not in available_databases():
        pytest.skip("PostgreSQL does not answer")

    tables = {figure["table"] for figure in report["figures"]}
    titles = ("2 writers", *(f"batches of {n}" for n in (10, 100, 1000)), "bulk import")
    assert tables >= {f"append, postgresql, {title}" for title in titles}
    assert len(names_in(report, "append, postgresql, at half the rate")) == 2


@pytest.mark.soak
@pytest.mark.parametrize("name", ["append", "read"])
def test_the_store_is_measured_beside_its_peer_or_the_report_says_what_is_missing(
    name: str,
) -> None:
    report = run_smoke(name)
    if "postgresql" not in available_databases():
        pytest.skip("PostgreSQL does not answer")

    measured = {figure["name"] for figure in report["figures"]}
    assert "eventsourcing" in measured or any("eventsourcing" in n for n in report["notes"])


@pytest.mark.soak
def test_read_reports_the_log_and_loads_of_every_size() -> None:
    report = run_smoke("read")

    assert_has_shape_of_report(report, "read")
    for vendor in available_databases(databases.STORE_VENDORS):
        assert "store.read_all" in names_in(report, f"the whole log, {vendor}")
        for events in (10, 100, 1000):
            assert "store.load" in names_in(report, f"an aggregate of {events} events, {vendor}")


@pytest.mark.soak
def test_project_rebuilds_as_the_loop_does_and_follows() -> None:
    """It compares the rows of both ways itself."""
    if "postgresql" not in available_databases():
        pytest.skip("PostgreSQL does not answer")
    report = run_smoke("project")

    assert_has_shape_of_report(report, "project")
    assert {"rebuild", "loop by hand"} <= set(
        names_in(report, "200 events into 10 rows, postgresql")
    )
    assert len(names_in(report, "from commit to projected, 0.5 s, postgresql")) == 2
    assert len(names_in(report, "capacity, 200 events to catch up with, postgresql")) == 2
    grown = "a rebuild into 100 rows grows, postgresql"
    assert names_in(report, grown) == ["100 events", "300 events"]


@pytest.mark.soak
def test_modes_reports_all_modes_and_cleans_up_beside_a_writer() -> None:
    report = run_smoke("modes")

    assert_has_shape_of_report(report, "modes")
    for vendor in available_databases():
        table = f"a command on a cart of 5 events, {vendor}"
        assert names_in(report, table) == ["inline", "durable", "batched"]
    cleaned = names_in(report, "cleanup beside a writer")
    assert cleaned == available_databases(databases.STORE_VENDORS)


def test_lengths_of_logs_are_refused_where_nothing_grows() -> None:
    done = run_benchmarks("dispatch", "--events", "100")

    assert done.returncode == 2
    assert "--events is for project" in done.stderr


@pytest.mark.soak
def test_cdnow_reports_rate_and_memory_of_every_run() -> None:
    try:
        find_file()
    except FileNotFoundError as error:
        if must_answer():
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))

    report = run_smoke("cdnow")

    assert_has_shape_of_report(report, "cdnow")
    runs = [figure["values"] for figure in report["figures"]]
    assert len(runs) == 3 * len(available_databases())
    for values in runs:
        assert values["orders"] in (50, 200)
        assert values["orders_per_second"] > 0
        assert values.keys() >= {"seconds", "peak_mib_at_quarter", "peak_mib_at_end"}


@pytest.mark.soak
def test_relay_reports_the_way_from_outbox_to_handled() -> None:
    report = run_smoke("relay")

    assert_has_shape_of_report(report, "relay")
    if report["notes"]:
        assert not must_answer(), report["notes"]
        return
    table = "200 messages, RabbitMQ and postgresql"
    assert names_in(report, table) == [
        "outbox to confirmed and marked, one relay",
        "pika alone, a list to confirmed",
        "queue to handled, one worker",
    ]
    assert len(report["goals"]) == 5


@pytest.mark.soak
def test_saga_reports_every_way_to_complete_and_what_waiting_costs() -> None:
    report = run_smoke("saga")

    assert_has_shape_of_report(report, "saga")
    if report["notes"]:
        assert not must_answer(), report["notes"]
        return
    for workers in ("1 worker", "2 workers"):
        names = names_in(report, f"20 processes of four steps, {workers}")
        assert names == [
            "whizbang, one service",
            "whizbang, two services over RabbitMQ",
            "Celery tasks and ORM rows over RabbitMQ",
        ]
    waiting = names_in(report, "timeouts that are due beside open instances")
    assert waiting == ["10 open", "30 open"]


@pytest.mark.soak
def test_console_opens_every_page_alone_and_beside_writers() -> None:
    report = run_smoke("console")

    assert_has_shape_of_report(report, "console")
    if report["notes"]:
        assert not must_answer(), report["notes"]
        return
    pages = [f for f in report["figures"] if f["table"].startswith("pages")]
    assert len(pages) > 20
    assert all(f["values"]["statements"] > 0 for f in pages)
    assert names_in(report, "appends of 8 writers at half their rate") == [
        "nobody looks",
        "somebody opens the console",
    ]
