"""Registers the console's pages with the admin."""

from __future__ import annotations

from whizbang_admin.audit import history, operator_actions, requests
from whizbang_admin.configuration import page as configuration
from whizbang_admin.messages import dead_letters, inbox, redrives
from whizbang_admin.overview import page as overview
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
    "inbox",
    "listing",
    "operator_actions",
    "options",
    "overview",
    "parked",
    "rebuilds",
    "redrives",
    "repair",
    "requests",
    "what_if",
    "topology",
]
