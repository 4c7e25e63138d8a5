"""Every benchmark runs and tells what it should; how fast it was is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
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
    assert {"cpu", "cores", "python", "django", "sqlite"} <= report["machine"].keys()
    assert all({"table", "name", "values"} == figure.keys() for figure in report["figures"])
    assert report["goals"]
    for goal in report["goals"]:
        assert goal.keys() == {"name", "value", "goal", "met"}
        assert isinstance(goal["met"], bool)
        assert goal["value"] is not None or not goal["met"]


def names_in(report: dict[str, Any], table: str) -> list[str]:
    return [figure["name"] for figure in report["figures"] if figure["table"] == table]


def available_databases() -> list[str]:
    found = [vendor for vendor in databases.VENDORS if databases.is_available(vendor)]
    if must_answer():
        assert found == list(databases.VENDORS)
    return found


def test_without_a_name_all_benchmarks_are_listed() -> None:
    done = run_benchmarks()

    assert done.returncode == 0
    assert all(name in done.stdout for name in ("dispatch", "command", "cdnow"))


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    done = run_benchmarks("dispach")

    assert done.returncode == 2
    assert "no benchmark 'dispach'; choose one of: dispatch, command, cdnow" in done.stderr


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
