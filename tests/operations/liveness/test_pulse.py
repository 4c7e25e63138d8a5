from __future__ import annotations

import pytest

from whizbang.operations.liveness.pulse import Pulse, State
from whizbang.operations.liveness.report import Report, parse_report

LONG, NONE = 1000.0, -1.0  # what a turn may take


def test_pulse_says_how_the_last_turn_went() -> None:
    pulse = Pulse()
    assert pulse.state(stuck_seconds=LONG) == State.STARTING
    with pulse.turn():
        assert pulse.state(stuck_seconds=LONG) == State.STARTING
    assert pulse.state(stuck_seconds=LONG) == State.OK
    with pulse.turn():
        pulse.fail()
    assert pulse.state(stuck_seconds=LONG) == State.FAILING
    with pulse.turn():
        assert pulse.state(stuck_seconds=LONG) == State.FAILING
    assert pulse.state(stuck_seconds=LONG) == State.OK
    with pytest.raises(ZeroDivisionError), pulse.turn():
        _ = 1 / 0
    assert pulse.state(stuck_seconds=LONG) == State.FAILING


def test_turn_that_takes_too_long_is_stuck_until_it_ends() -> None:
    pulse = Pulse()
    with pulse.turn():
        assert pulse.state(stuck_seconds=NONE) == State.STUCK
    assert pulse.state(stuck_seconds=NONE) == State.OK


def test_rebuild_may_take_as_long_as_it_does() -> None:
    pulse = Pulse(is_bounded=False)
    with pulse.turn():
        assert pulse.state(stuck_seconds=NONE) == State.OK


@pytest.mark.parametrize(
    ("parts", "is_stopping", "state", "is_live", "is_ready"),
    [
        (["ok", "ok"], False, "ok", True, True),
        (["ok", "starting"], False, "starting", True, False),
        (["failing", "ok"], False, "failing", True, False),
        (["failing", "ok"], True, "stopping", True, False),
        (["failing", "stuck"], False, "stuck", False, False),
        (["ok", "ended"], True, "ended", False, False),
    ],
)
def test_report_is_as_bad_as_its_worst_part(
    parts: list[str], is_stopping: bool, state: str, is_live: bool, is_ready: bool
) -> None:
    states = {str(number): State(part) for number, part in enumerate(parts)}
    report = Report(parts=states, is_stopping=is_stopping)
    for found in (report, Report(parts={}, processes=[report]), parse_report(report.as_json())):
        assert (found.state, found.is_live, found.is_ready) == (state, is_live, is_ready)
