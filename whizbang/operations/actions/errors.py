"""Why an action is not done."""

from __future__ import annotations

from collections.abc import Mapping

from whizbang.exceptions import WhizbangError


class ActionRefused(WhizbangError):
    """Base of what an operator did wrong, or could not know; nothing was changed."""


class UnknownAction(ActionRefused):
    """There is no action of this name, or it does not take these parameters."""


class ReasonMissing(ActionRefused):
    """Every action asks why it is done."""

    def __init__(self, action: str) -> None:
        self.action = action
        super().__init__(f"Give a reason for {action!r}: it is kept, and somebody will ask for it.")


class ChangedMeanwhile(ActionRefused):
    """What the action is about is not any more what the operator had seen.

    `differences`: by name, what it was then and what it is now.
    """

    def __init__(self, target: str, differences: Mapping[str, tuple[str, str]]) -> None:
        self.target, self.differences = target, dict(differences)
        told = ", ".join(
            f"{name} was {was or 'empty'} and is {now or 'empty'}"
            for name, (was, now) in differences.items()
        )
        super().__init__(
            f"The {target} has changed since you looked: {told}. Nothing was done: look again, and decide."
        )


class NotApprovable(ActionRefused):
    """A request cannot be decided about: by this person, or not any more."""
