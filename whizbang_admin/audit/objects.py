"""From what an action was done to, as the audit trail says it, to the page of that thing."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

_models: dict[str, str] = {
    "dead letter ": "deadletter",
    "inbox message ": "inboxmessage",
    "outbox message ": "outboxmessage",
    "redrive ": "redrive",
    "request ": "actionrequest",
    "subscription ": "subscription",
}
_functions: dict[str, Callable[[HttpRequest, str], str]] = {}


def show_by(prefix: str, url_of: Callable[[HttpRequest, str], str]) -> None:
    """Let `url_of(request, rest)` say where the page of targets is that begin so; empty where there is none."""
    _functions[prefix] = url_of


def object_url(request: HttpRequest, target: str) -> str:
    """The page of a target, for those who may see it; else empty."""
    for prefix, url_of in _functions.items():
        if target.startswith(prefix):
            return url_of(request, target.removeprefix(prefix))
    for prefix, model in _models.items():
        if not target.startswith(prefix):
            continue
        if not request.user.has_perm(f"whizbang.view_{model}"):
            return ""
        return _change_url(request, model, target.removeprefix(prefix))
    return ""


def _change_url(request: HttpRequest, model: str, key: str) -> str:
    site = getattr(request, "current_app", None) or "admin"
    try:
        return reverse(f"admin:whizbang_{model}_change", args=[key], current_app=site)
    except NoReverseMatch:  # a key that no address can hold
        return ""
