"""What a worker's process says about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whizbang.operations.liveness.pulse import State, worst

_DEAD = (State.ENDED, State.STUCK)


@dataclass(frozen=True, slots=True)
class Report:
    """States alone, without names and errors, so that anybody may see it."""

    parts: Mapping[str, State]
    processes: Sequence[Report] = ()  # that this one has started
    is_stopping: bool = False

    @property
    def state(self) -> State:
        states = [*self.parts.values(), *(process.state for process in self.processes)]
        found = worst(iter(states))
        return worst(iter((found, State.STOPPING))) if self.is_stopping else found

    @property
    def is_live(self) -> bool:
        """Else only a restart helps. A database that is away comes back by itself."""
        return self.state not in _DEAD

    @property
    def is_ready(self) -> bool:
        """Everything that it is there for goes well."""
        return self.state == State.OK

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "state": self.state,
            "live": self.is_live,
            "ready": self.is_ready,
            "parts": dict(self.parts),
        }
        if self.processes:
            found["processes"] = [process.as_json() for process in self.processes]
        return found


def parse_report(known: Mapping[str, Any]) -> Report:
    """What as_json() gave in a process without processes of its own."""
    return Report(
        parts={name: State(state) for name, state in known["parts"].items()},
        is_stopping=known["state"] == State.STOPPING,
    )
