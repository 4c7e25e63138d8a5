"""The browser of the tests that look at pages: Debian's Chromium, or another that is installed."""

from __future__ import annotations

from shutil import which

_NAMES = ("chromium", "chromium-browser", "google-chrome")
ABSENCE = "Chromium is not installed: apt-get install chromium"


def find_chromium() -> str | None:
    """Its path."""
    return next(filter(None, map(which, _NAMES)), None)
