"""What goes wrong in a page without showing: refused content, errors in the console, requests that fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

_REPORT = """
document.addEventListener('securitypolicyviolation', (event) => window.reportRefused({
    page: event.documentURI, directive: event.effectiveDirective, blocked: event.blockedURI, sample: event.sample,
}));
"""
# Chromium tells refused content, and answers of 400 and more, in its console too; both are seen here anyway.
_TOLD_OTHERWISE = ("Content Security Policy", "Failed to load resource")
# Django 5.2's list without actions has a <style> of its own (admin/change_list.html).
_DJANGOS_OWN = {"directive": "style-src-elem", "blocked": "inline"}
_DJANGOS_STYLE = "#changelist table thead th:first-child"


class Watch:
    """Hears all pages of a context; `found` are sentences about what should not have happened."""

    def __init__(self, context: BrowserContext) -> None:
        self.found: list[str] = []
        self.expected_statuses: set[int] = set()  # of answers that a test asks for
        context.expose_binding("reportRefused", self._note_refused)
        context.add_init_script(_REPORT)
        context.on("page", self._listen)

    def _listen(self, page: Page) -> None:
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.found.append(f"{page.url}: {error}"))
        page.on("requestfailed", self._note_failed)
        page.on("response", self._note_response)

    def _note_refused(self, source: Any, violation: Mapping[str, str]) -> None:
        if not is_djangos_own(violation):
            self.found.append(f"refused by the policy: {violation}")

    def _note_console(self, message: ConsoleMessage) -> None:
        text = message.text
        if message.type == "error" and not any(part in text for part in _TOLD_OTHERWISE):
            self.found.append(f"{message.location.get('url')}: {text}")

    def _note_failed(self, request: Request) -> None:
        # A page that is left ends what it still waits for, and a file to save ends its navigation.
        if request.failure != "net::ERR_ABORTED":
            self.found.append(f"{request.url}: {request.failure}")

    def _note_response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected_statuses:
            self.found.append(f"{response.url}: {response.status}")


def is_djangos_own(violation: Mapping[str, str]) -> bool:
    is_style = all(violation[name] == value for name, value in _DJANGOS_OWN.items())
    return is_style and _DJANGOS_STYLE.startswith(violation["sample"].strip()[:20] or "?")
