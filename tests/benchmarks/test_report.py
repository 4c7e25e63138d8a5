from __future__ import annotations

import json

from benchmarks.report import Figure, Report, at_least, at_most


def make_report() -> Report:
    return Report(
        benchmark="dispatch",
        machine={"cpu": "some", "cores": 2},
        figures=[
            Figure(table="calls", name="ours", values={"median_us": 1.25, "orders": 69_659}),
            Figure(table="calls", name="theirs", values={"median_us": 2_500.0}),
        ],
        goals=[at_least("rate", 1.5, 1.0), at_most("time", None, 8, " us")],
        notes=["lato is not installed"],
    )


def test_a_goal_that_could_not_be_measured_is_not_met() -> None:
    assert at_least("rate", None, 1.0).met is False
    assert at_most("time", None, 1.0).met is False


def test_a_goal_is_met_at_its_limit() -> None:
    assert at_least("rate", 1.0, 1.0).met
    assert at_most("time", 8.0, 8.0).met


def test_json_has_goals_as_objects_of_name_value_goal_and_met() -> None:
    report = json.loads(make_report().as_json())

    assert report["goals"] == [
        {"name": "rate", "value": 1.5, "goal": ">= 1", "met": True},
        {"name": "time", "value": None, "goal": "<= 8 us", "met": False},
    ]


def test_text_shows_figures_under_their_columns_goals_and_notes() -> None:
    lines = make_report().as_text().splitlines()

    assert "| calls  | median us | orders |" in lines
    assert "| ours   |      1.25 | 69,659 |" in lines
    assert "| theirs |     2,500 |      - |" in lines
    assert "| time |     - | <= 8 us |  NO |" in lines
    assert lines[-1] == "Note: lato is not installed"
