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
    # Does it only pass on an envelope that has neither a unit of work nor a receipt? Handle then
    # goes around it, unless somebody observes the stages.
    needs_effects: ClassVar[bool] = False

    # Where an envelope without a unit of work and a receipt may go instead; set with the chain.
    next_without_effects: NextStage

    def __init__(self, next_stage: NextStage) -> None:
        self.next_stage = self.next_without_effects = next_stage

    def applies_to(self, message_type: type[Message]) -> bool:
        """Has this stage anything to do for the type? Asked once a type, when its chain is made."""
        return True

    def __call__(self, envelope: Envelope) -> Any:
        return self.next_stage(envelope)
