"""The contract of a stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope

NextStage = Callable[[Envelope], Any]


class Stage:
    """One step of the pipeline. One instance serves all messages of one type.

    `__call__` does its work, calls `self.next_stage(envelope)` and returns what that returns.
    """

    # Does it run where a message is accepted, even if it is only stored for later?
    runs_at_edge: ClassVar[bool] = False

    def __init__(self, next_stage: NextStage) -> None:
        self.next_stage = next_stage

    def applies_to(self, message_type: type[Message]) -> bool:
        """Has this stage anything to do for the type? Asked once a type, when its chain is made."""
        return True

    def __call__(self, envelope: Envelope) -> Any:
        return self.next_stage(envelope)
