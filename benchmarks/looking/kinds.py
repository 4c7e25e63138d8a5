"""What makes two pages of the console alike."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

START = "/admin/"
_OURS = ("/admin/whizbang/", "/admin/whizbang_admin/")
_NO_PAGES = ("export", "download")  # of url names: files to save
_CARRIED = {"back", "_changelist_filters"}  # parameters that only say where somebody came from


class Kind(NamedTuple):
    """Alike are pages of the same view, of the same action, with the same parameters."""

    view: str
    action: str
    parameters: frozenset[str]

    def __str__(self) -> str:
        name = " ".join(filter(None, (self.view, self.action)))
        return f"{name} by {', '.join(sorted(self.parameters))}" if self.parameters else name


def kind_of(path: str) -> Kind | None:
    """None where it is no page of the console, or a list that is filtered twice."""
    from django.urls import Resolver404, resolve

    parts = urlsplit(path)
    if not parts.path.startswith(_OURS) and parts.path != START:
        return None
    try:
        found = resolve(parts.path)
    except Resolver404:
        return None
    view = found.url_name or ""
    if any(word in view for word in _NO_PAGES):
        return None
    action = str(found.kwargs["name"]) if view.endswith("_do") else ""
    parameters = frozenset(name for name, _ in parse_qsl(parts.query)) - _CARRIED
    if view.endswith("_changelist") and len(parameters) > 1:
        return None
    return Kind(view, action, parameters)
