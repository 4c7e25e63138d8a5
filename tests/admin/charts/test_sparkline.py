"""Small lines of figures: right for eyes, for ears, and for a Content-Security-Policy."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from django.utils import translation

from tests.admin.clients import EVIL
from whizbang_admin.charts.sparkline import HEIGHT, WIDTH, show_figure, sparkline


def drawn(*values: float | None, title: str = "Lag") -> ElementTree.Element:
    return ElementTree.fromstring(sparkline(values, id="a", title=title))


def test_line_goes_from_left_to_right_and_stays_inside() -> None:
    line = drawn(0, 5, 10).find("polyline")
    assert line is not None
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert points[0][1] > points[1][1] > points[2][1]  # what is higher stands higher


def test_gap_is_left_where_nothing_was_measured() -> None:
    found = drawn(1, 2, None, 3, None, 4, 5)
    assert len(found.findall("polyline")) == 2
    assert len(found.findall("circle")) == 1


@pytest.mark.parametrize("values", [(), (None, None), (0, 0, 0), (7,)])
def test_what_is_flat_or_empty_is_drawn_too(values: tuple[float | None, ...]) -> None:
    assert drawn(*values).tag == "svg"


def test_it_has_a_name_and_says_what_it_shows() -> None:
    found = drawn(4, 12_000, 3)
    texts = {child.attrib.get("id"): child.text for child in found}
    assert found.attrib["aria-labelledby"] == "a-title a-desc"
    assert found.attrib["role"] == "img"
    assert texts["a-title"] == "Lag"
    assert texts["a-desc"] == "Last 3, highest 12,000."
    assert drawn(None)[1].text == "Nothing was measured."


def test_texts_are_escaped_and_nothing_needs_inline_styles() -> None:
    text = sparkline([1, 2], id="a", title=EVIL)
    assert EVIL not in text and "&lt;script&gt;" in text
    assert " style=" not in text and "<style" not in text and " on" not in text


def test_figures_are_written_as_the_language_does() -> None:
    shown = [show_figure(value) for value in (None, 0, 0.5, 12.34, 12_345)]
    assert shown == ["–", "0", "0.5", "12", "12,345"]
    with translation.override("de"):
        assert show_figure(12_345) == "12.345"
