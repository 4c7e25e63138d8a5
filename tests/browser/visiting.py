"""Somebody who looks at the console with a browser of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from tests.browser.accessibility import grave_violations
from tests.browser.watching import Watch
from tests.processes import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.browser.running import RunningSite

SCREENSHOTS = ROOT / "build" / "screenshots"
WIDE, NARROW = 1280, 390
LIGHT, DARK = "light", "dark"
_HEIGHT = 900
_PATIENCE_MS = 30_000
_SETTLE = "() => document.getAnimations().forEach((each) => each.finish())"
_OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Visitor:
    """One page, and what was heard of it."""

    def __init__(self, page: Page, watch: Watch, site: RunningSite, user: str) -> None:
        self.page, self.watch, self.site, self.user = page, watch, site, user

    def opens(self, path: str) -> None:
        """Raises AssertionError when the answer is an error, with the end of the server's log."""
        response = self.page.goto(urljoin(self.site.address, path))
        assert response is not None
        if response.status >= 400 and response.status not in self.watch.expected_statuses:
            log = self.site.log.read_text()[-3000:] if response.status >= 500 else ""
            raise AssertionError(f"{response.status} at {path}\n{log}")

    @property
    def path(self) -> str:
        """Where it is now, with its parameters."""
        parts = urlsplit(self.page.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    @property
    def text(self) -> str:
        """What the page says, without its frame."""
        return self.page.locator("#content").inner_text()

    def clicks(self, name: str, *, role: Any = "link", exact: bool = False) -> None:
        """The first link, button or the like that is called so."""
        self.page.get_by_role(role, name=name, exact=exact).first.click()

    def gives_reason(self, reason: str) -> None:
        """On the page of an action, and does it."""
        self.page.locator("#id_reason").fill(reason)
        self.page.locator("form:has(#id_reason) [type=submit]").first.click()

    def waits_for(self, text: str, *, reloading: bool = False) -> None:
        """Until the page says so. `reloading`: by hand, for what a worker does and the page does not renew itself."""
        found = self.page.locator("#content", has_text=text)
        if not reloading:
            found.wait_for()
            return
        for _ in range(_PATIENCE_MS // 250):
            if found.count():
                return
            self.page.wait_for_timeout(250)
            self.page.reload()
        raise AssertionError(f"{self.path} does not say {text!r}:\n{self.text[:3000]}")

    def hrefs(self) -> list[str]:
        """Paths of all links of the page to this site."""
        found = self.page.evaluate("() => Array.from(document.links, (link) => link.href)")
        parts = [urlsplit(href) for href in found if href.startswith(f"{self.site.address}/")]
        return list(dict.fromkeys(f"{p.path}?{p.query}" if p.query else p.path for p in parts))

    def becomes(self, *, scheme: str | None = None, width: int | None = None) -> None:
        """Changed at once: colours do not fade."""
        if scheme is not None:
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        if width is not None:
            self.page.set_viewport_size({"width": width, "height": _HEIGHT})
        self.page.evaluate(_SETTLE)

    def overflow(self) -> list[str]:
        """A sentence when the page itself scrolls sideways."""
        pixels = self.page.evaluate(_OVERFLOW)
        return [f"{self.path} is {pixels} pixels too wide"] if pixels > 0 else []

    def grave_violations(self, *, rules: list[str] | None = None) -> list[str]:
        return grave_violations(self.page, rules=rules)

    def takes_picture(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(
            path=SCREENSHOTS / f"{name}.png", full_page=True, animations="disabled"
        )

    def troubles(self) -> list[str]:
        """All that was heard until now."""
        self.page.evaluate("() => null")  # what was on its way is here then
        return self.watch.found


@contextmanager
def visiting(
    browser: Browser,
    site: RunningSite,
    user: str,
    *,
    scheme: str = LIGHT,
    width: int = WIDE,
    with_javascript: bool = True,
) -> Iterator[Visitor]:
    context = browser.new_context(
        viewport={"width": width, "height": _HEIGHT},
        color_scheme=scheme,  # type: ignore[arg-type]
        java_script_enabled=with_javascript,
        reduced_motion="reduce",
    )
    context.set_default_timeout(_PATIENCE_MS)
    context.add_cookies([{"name": "sessionid", "value": site.cookies[user], "url": site.address}])
    watch = Watch(context)
    try:
        yield Visitor(context.new_page(), watch, site, user)
    finally:
        context.close()
