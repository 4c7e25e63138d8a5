"""What an operator can do, each with a permission, a reason and a trace; the console, the command line and the API
do them through `perform`."""

from __future__ import annotations

from whizbang.operations.actions.action import (
    Action,
    By,
    Fact,
    action_class,
    action_names,
    approvable_names,
    read_action,
)
from whizbang.operations.actions.errors import (
    ActionRefused,
    ChangedMeanwhile,
    NotApprovable,
    ReasonMissing,
    UnknownAction,
)
from whizbang.operations.actions.perform import Performed, perform
from whizbang.operations.actions.requests import approve, refuse, requests_waiting, withdraw

__all__ = [
    "Action",
    "ActionRefused",
    "By",
    "ChangedMeanwhile",
    "Fact",
    "NotApprovable",
    "Performed",
    "ReasonMissing",
    "UnknownAction",
    "action_class",
    "action_names",
    "approvable_names",
    "approve",
    "perform",
    "read_action",
    "refuse",
    "requests_waiting",
    "withdraw",
]
