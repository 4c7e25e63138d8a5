"""Takes the pictures of the docs: `python -m tests.browser.pictures`, then look at what changed in docs/images.

Needs Pillow (pip install pillow), which nothing else does. They show the shop of these tests, so that they can be
taken again whenever the pages change. That of a rebuild that waits is not among them: SQLite refills in one
transaction, and holds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.browser.names import SHIPPED, UNPAYABLE
from tests.browser.running import running_browser, running_site
from tests.browser.site import SUPERUSER
from tests.browser.visiting import Visitor, visiting
from tests.processes import ROOT

IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 120_000
_COLOURS = 64
_WIDTH, _MOST_HEIGHT = 1100, 900  # above the tracebacks, which name folders of the machine
OVERVIEW = "/admin/whizbang_admin/overview/"
_ORDER = f"orders.Order-{SHIPPED}"


def graph(visitor: Visitor) -> None:
    visitor.opens(f"/admin/whizbang/stream/event/1/{_ORDER}/")
    visitor.clicks("All that belongs to it")


def audit(visitor: Visitor) -> None:
    for action, reason in (("pause", "Stocktaking until noon."), ("resume", "All is counted.")):
        visitor.opens(f"/admin/whizbang/operatoraction/do/{action}/?subscription=orders.SalesByDay")
        visitor.gives_reason(reason)
    visitor.opens("/admin/whizbang/operatoraction/")


# Each leads to its page; those that change something come last.
PICTURES: dict[str, str | Callable[[Visitor], None]] = {
    "overview": OVERVIEW,
    "stream": f"/admin/whizbang/stream/timeline/{_ORDER}/",
    "event": f"/admin/whizbang/stream/event/1/{_ORDER}/",
    "graph": graph,
    "subscription": "/admin/whizbang/subscription/orders.OrderProgress/change/",
    "dead-letters": "/admin/whizbang/deadletter/1/change/",
    "saga": f"/admin/whizbang/sagainstance/orders.OrderFulfillment-{UNPAYABLE}/change/",
    "audit": audit,
}


def main() -> None:
    with (
        TemporaryDirectory() as folder,
        running_browser() as browser,
        running_site(Path(folder)) as site,
        visiting(browser, site, SUPERUSER, width=_WIDTH) as visitor,
    ):
        visitor.opens(OVERVIEW)
        visitor.waits_for("works", reloading=True)  # its worker
        for name, way in PICTURES.items():
            visitor.opens(way) if isinstance(way, str) else way(visitor)
            print(take(visitor, IMAGES / f"console-{name}.png"))


def take(visitor: Visitor, path: Path) -> str:
    """The page without the admin's list of models, with few colours."""
    page = visitor.page
    if page.locator("#toggle-nav-sidebar").is_visible() and page.locator("#main.shifted").count():
        page.locator("#toggle-nav-sidebar").click()
        page.wait_for_timeout(500)  # it slides
    height = page.evaluate("() => document.documentElement.scrollHeight")
    page.screenshot(
        path=path,
        full_page=True,
        animations="disabled",
        clip={"x": 0, "y": 0, "width": _WIDTH, "height": min(height, _MOST_HEIGHT)},
    )
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise RuntimeError(f"{path.name} has {size:,} bytes, more than {MOST_BYTES:,}.")
    return f"{path.relative_to(ROOT)}: {size:,} bytes"


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    main()
