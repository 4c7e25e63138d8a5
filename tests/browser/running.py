"""Starts the site and the browser."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, NamedTuple

from tests.chromium import find_chromium
from tests.processes import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


class RunningSite(NamedTuple):
    address: str
    cookies: dict[str, str]  # of a session, by user
    log: Path


@contextmanager
def running_site(folder: Path) -> Iterator[RunningSite]:
    """See site.py; what it has to say goes to a file in the folder."""
    log = folder / "site.log"
    command = [sys.executable, "-m", "tests.browser.site", str(folder)]
    with log.open("w") as out, Popen(command, cwd=ROOT, stdout=PIPE, stderr=out, text=True) as run:
        assert run.stdout is not None
        try:
            line = run.stdout.readline()
            if not line:
                raise RuntimeError(f"The site did not start:\n{log.read_text()[-5000:]}")
            yield RunningSite(**json.loads(line), log=log)
        finally:
            run.kill()


@contextmanager
def running_browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
