"""Registers the console's pages with the admin."""

from __future__ import annotations

from whizbang_admin.audit import history, operator_actions, requests
from whizbang_admin.configuration import page as configuration
from whizbang_admin.messages import dead_letters, inbox_messages, outbox, redrives
from whizbang_admin.overview import page as overview
from whizbang_admin.sagas import listing as sagas
from whizbang_admin.sagas import timeouts as saga_timeouts
from whizbang_admin.streams import catalogue
from whizbang_admin.subscriptions import (
    backfills,
    listing,
    options,
    parked,
    rebuilds,
    repair,
    what_if,
)
from whizbang_admin.topology import page as topology

__all__ = [
    "backfills",
    "catalogue",
    "configuration",
    "dead_letters",
    "history",
    "inbox_messages",
    "listing",
    "operator_actions",
    "options",
    "outbox",
    "overview",
    "parked",
    "rebuilds",
    "redrives",
    "repair",
    "requests",
    "saga_timeouts",
    "sagas",
    "topology",
    "what_if",
]
