"""A site, a browser, and visitors whose pages are watched.

The browser lives as long as this folder's tests: Playwright runs an event loop in the thread, in which Django
refuses to touch a database. The site is a process of its own for that reason too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.running import RunningSite, running_browser, running_site
from tests.browser.visiting import Visitor, visiting
from tests.conftest import demand_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Visit = Callable[..., Visitor]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    demand_browser()
    with running_browser() as found:
        yield found


@pytest.fixture(scope="package")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A shop in which some things went wrong: see troubles.py. Its tests must leave it as good as they can."""
    with running_site(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture
def visit(browser: Browser, site: RunningSite) -> Iterator[Visit]:
    """Gives a visitor; see visiting(). At the end nothing may have gone wrong in its pages without showing."""
    visitors: list[Visitor] = []
    with ExitStack() as stack:

        def make(user: str, **options: Any) -> Visitor:
            visitor = stack.enter_context(visiting(browser, site, user, **options))
            visitors.append(visitor)
            return visitor

        yield make
        found = [trouble for visitor in visitors for trouble in visitor.troubles()]
    assert found == []
