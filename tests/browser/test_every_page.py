"""Every page of the console that a link leads to, as each user, in light and dark, wide and narrow."""

from __future__ import annotations

import re

import pytest

from benchmarks.looking.kinds import kind_of
from tests.browser.conftest import Visit
from tests.browser.site import OPERATOR, SUPERUSER, VIEWER
from tests.browser.visiting import DARK, LIGHT, NARROW, WIDE, Visitor
from tests.browser.walking import walk

pytestmark = pytest.mark.requires_browser
CONTRAST = ["color-contrast"]


def test_superuser_finds_every_page_well_in_all_its_forms(visit: Visit) -> None:
    visitor = visit(SUPERUSER)
    found: list[str] = []

    def look(visitor: Visitor, path: str) -> None:
        found.extend(visitor.grave_violations())
        if is_variant(path):
            return
        visitor.takes_picture(f"{name_of(path)}-light-wide")
        if is_action(path):
            return  # all of them have one template, and the narrow one is seen below
        visitor.becomes(scheme=DARK)
        found.extend(visitor.grave_violations(rules=CONTRAST))
        visitor.becomes(width=NARROW)
        found.extend(visitor.overflow())
        visitor.takes_picture(f"{name_of(path)}-dark-narrow")
        visitor.becomes(scheme=LIGHT, width=WIDE)

    walked = walk(visitor, look)

    assert not found, "\n".join(found)
    assert len(walked) > 20


def test_operator_finds_the_page_of_an_action_well_in_the_dark_on_a_phone(visit: Visit) -> None:
    visitor = visit(OPERATOR, width=NARROW, scheme=DARK)
    for path in (
        "pause/?subscription=orders.Customers",
        "rebuild/?subscription=orders.Customers",
        "redrive/?is_all=1",
    ):
        visitor.opens(f"/admin/whizbang/operatoraction/do/{path}")
        found = [*visitor.grave_violations(), *visitor.overflow()]
        visitor.takes_picture(f"{name_of(visitor.path)}-dark-narrow")
        assert not found, "\n".join(found)


def test_viewer_finds_every_page_that_is_shown_to_them_on_a_phone(visit: Visit) -> None:
    visitor = visit(VIEWER, width=NARROW)
    found: list[str] = []

    def look(visitor: Visitor, path: str) -> None:
        found.extend(visitor.overflow())
        found.extend(f"{path} offers {href}" for href in visitor.hrefs() if is_action(href))

    walked = walk(visitor, look)

    assert not found, "\n".join(found)
    assert len(walked) > 15


def is_variant(path: str) -> bool:
    """A list that is filtered, or turned to another page."""
    kind = kind_of(path)
    return kind is not None and kind.view.endswith("_changelist") and bool(kind.parameters)


def is_action(path: str) -> bool:
    kind = kind_of(path)
    return kind is not None and kind.view.endswith("_do")


def name_of(path: str) -> str:
    """Of the picture: by what makes pages alike, and by nothing that changes from run to run."""
    kind = kind_of(path)
    assert kind is not None
    parts = [kind.view, kind.action, *sorted(kind.parameters)]
    return re.sub(r"[^a-z0-9]+", "-", "-".join(filter(None, parts)).lower())[:100]
