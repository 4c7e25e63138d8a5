"""A small line that shows how a figure has gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from django.utils.formats import number_format
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as translate

from whizbang.operations.svg import element, plain

WIDTH, HEIGHT = 120, 28
_PAD = 3


def sparkline(values: Sequence[float | None], *, id: str, title: str) -> SafeString:
    """An SVG of the values from left to right, from 0 up to the highest; a gap where one is None.

    `id` is unique on its page. The same figures have to stand in a table too: this says the last and the
    highest only.
    """
    known = [value for value in values if value is not None]
    top = max(known, default=0.0) or 1.0
    drawn = element(
        "svg",
        [
            element("title", plain(title), id=f"{id}-title"),
            element("desc", plain(_describe(values, known)), id=f"{id}-desc"),
            element(
                "path",
                d=f"M0 {HEIGHT - 0.5} H{WIDTH}",
                stroke="currentColor",
                stroke_opacity=0.25,
                class_="wb-spark-base",
            ),
            *_lines(values, top),
        ],
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        aria_labelledby=f"{id}-title {id}-desc",
        class_="wb-spark",
    )
    # Every text in it went through `plain` or `element`, which escape.
    return mark_safe(drawn)


def _lines(values: Sequence[float | None], top: float) -> Iterator[str]:
    """A line for each run of values without a gap; a dot for one that stands alone."""
    step = (WIDTH - 2 * _PAD) / max(len(values) - 1, 1)
    room = HEIGHT - 2 * _PAD
    places = [
        None if value is None else (_PAD + index * step, HEIGHT - _PAD - room * max(value, 0) / top)
        for index, value in enumerate(values)
    ]
    for is_gap, run in groupby(places, key=lambda place: place is None):
        if is_gap:
            continue
        points = [place for place in run if place is not None]
        if len(points) == 1:
            x, y = points[0]
            yield element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=1.5, fill="currentColor")
            continue
        yield element(
            "polyline",
            points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
            fill="none",
            stroke="currentColor",
            stroke_width=1.5,
            stroke_linejoin="round",
        )


def _describe(values: Sequence[float | None], known: Sequence[float]) -> str:
    if not known:
        return translate("Nothing was measured.")
    last = values[-1]
    told = {"highest": show_figure(max(known)), "last": show_figure(last)}
    return translate("Last %(last)s, highest %(highest)s.") % told


def show_figure(value: float | None) -> str:
    """As the language writes numbers; a dash for what is unknown."""
    if value is None:
        return "–"
    digits = 0 if value == int(value) or abs(value) >= 10 else 1
    return str(number_format(value, decimal_pos=digits, force_grouping=True))
