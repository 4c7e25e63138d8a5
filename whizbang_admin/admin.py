"""Registers the console's pages with the admin."""

from __future__ import annotations

from whizbang_admin.audit import history, operator_actions, requests
from whizbang_admin.messages import dead_letters, inbox, redrives
from whizbang_admin.sagas import listing as sagas
from whizbang_admin.sagas import timeouts as saga_timeouts
from whizbang_admin.streams import catalogue
from whizbang_admin.subscriptions import listing, parked, repair

__all__ = [
    "catalogue",
    "dead_letters",
    "history",
    "inbox",
    "listing",
    "operator_actions",
    "parked",
    "redrives",
    "repair",
    "requests",
    "saga_timeouts",
    "sagas",
]
