"""The overview: is everything well, and if not, where to mend it?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.safestring import SafeString
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import InboxMessage
from whizbang.operations.overview.figures import Figures, LetterFigures
from whizbang.operations.overview.overview import Overview as Found
from whizbang.operations.overview.overview import read_overview
from whizbang.operations.overview.subscription_state import SubscriptionState
from whizbang.operations.overview.trouble import Place, Trouble
from whizbang.operations.overview.verdict import LATE_SECONDS, counted
from whizbang_admin.charts.sparkline import show_figure, sparkline
from whizbang_admin.frame.page_admin import PageAdmin
from whizbang_admin.frame.places import list_of, page_of
from whizbang_admin.models import Overview

KINDS = {
    "projection": _("projection"),
    "subscriber": _("subscriber"),
    "saga": _("saga"),
    "catalogue": _("catalogue"),
    "topic": _("topic"),
}

_NEWS_SECONDS = 5.0


class ShownTrouble(NamedTuple):
    text: str
    is_urgent: bool
    url: str


class ShownFigure(NamedTuple):
    """One number with its name, and where to see what it counts."""

    name: str
    value: str
    url: str = ""
    note: str = ""
    chart: str = ""


class ShownSubscription(NamedTuple):
    """A line of the table. `state` is a word, `tone` its colour: ok, warn or fail."""

    name: str
    url: str
    kind: str
    state: str
    tone: str
    lag_events: str
    lag_seconds: str
    to_catch_up: str
    parked: int
    parked_url: str
    chart: SafeString


class ShownGroup(NamedTuple):
    group: LetterFigures
    url: str


@admin.register(Overview)
class OverviewAdmin(PageAdmin):
    """One page; live.js refreshes it."""

    def page(self, request: HttpRequest) -> HttpResponseBase:
        request.current_app = self.admin_site.name
        found = read_overview()
        return self.render(
            request,
            "whizbang_admin/overview/page.html",
            title=translate("Is everything well?"),
            found=found,
            troubles=[_trouble(request, trouble) for trouble in found.troubles],
            log=list(_log_figures(found)),
            figures=list(_figures(request, found.figures, found)),
            subscriptions=[_subscription(request, state) for state in found.subscriptions],
            groups=[_group(request, group) for group in found.figures.letter_groups],
            history=_history_table(found),
            inbox=_inbox(found.figures),
            kept_minutes=len(found.minutes),
        )


def _trouble(request: HttpRequest, trouble: Trouble) -> ShownTrouble:
    return ShownTrouble(trouble.text, trouble.is_urgent, _place_url(request, trouble))


def _place_url(request: HttpRequest, trouble: Trouble) -> str:
    if trouble.place == Place.WORKERS:
        return "#workers"
    if trouble.place == Place.SUBSCRIPTION:
        return page_of(request, "subscription", trouble.name) or "#subscriptions"
    lists = {
        Place.PARKED: "parkedstream",
        Place.DEAD_LETTERS: "deadletter",
        Place.OUTBOX: "outboxmessage",
        Place.SAGAS: "sagainstance",
        Place.REQUESTS: "actionrequest",
    }
    return list_of(request, lists[trouble.place])


def _log_figures(found: Found) -> Sequence[ShownFigure]:
    rate = translate("Events a second")
    return [
        ShownFigure(translate("Settled head"), show_figure(found.head)),
        ShownFigure(
            rate,
            show_figure(found.events_per_second),
            chart=sparkline(found.rates, id="wb-rates", title=rate),
        ),
    ]


def _figures(request: HttpRequest, figures: Figures, found: Found) -> Sequence[ShownFigure]:
    waiting = sum(figures.inbox.values())
    age = figures.outbox_oldest_seconds
    oldest = "" if age is None else translate("the oldest for %s") % show_duration(age)
    outbox = translate("Waiting in the outbox")
    late = translate("%(overdue)s timeouts overdue, %(failed)s failed") % {
        "overdue": counted(figures.timeouts_overdue, figures),
        "failed": counted(figures.timeouts_failed, figures),
    }
    return [
        ShownFigure(
            outbox,
            counted(figures.outbox, figures),
            list_of(request, "outboxmessage"),
            oldest,
            sparkline(found.outbox, id="wb-outbox", title=outbox),
        ),
        ShownFigure(
            translate("Waiting in the inbox"),
            counted(waiting, figures),
            list_of(request, "inboxmessage"),
            _inbox(figures),
        ),
        ShownFigure(
            translate("Dead letters"),
            counted(figures.dead_letters, figures),
            list_of(request, "deadletter"),
        ),
        ShownFigure(
            translate("Parked streams"),
            counted(figures.parked, figures),
            list_of(request, "parkedstream"),
        ),
        ShownFigure(
            translate("Open sagas"),
            counted(figures.sagas_open, figures),
            list_of(request, "sagainstance"),
            late,
        ),
        ShownFigure(
            translate("Requests waiting for approval"),
            str(found.requests_waiting),
            list_of(request, "actionrequest"),
        ),
    ]


def _inbox(figures: Figures) -> str:
    """What waits by status."""
    return ", ".join(
        f"{counted(count, figures)} {InboxMessage.Status(status).label}"
        for status, count in figures.inbox.items()
        if count
    )


def _subscription(request: HttpRequest, state: SubscriptionState) -> ShownSubscription:
    word, tone = _word_of(state)
    title = translate("Lag of %(name)s in events") % {"name": state.name}
    return ShownSubscription(
        name=state.name,
        url=page_of(request, "subscription", state.name),
        kind=str(KINDS.get(state.kind, state.kind)),
        state=word,
        tone=tone,
        lag_events=show_figure(state.lag_events),
        lag_seconds="–" if state.lag_seconds is None else show_duration(state.lag_seconds),
        to_catch_up=_to_catch_up(state),
        parked=state.parked,
        parked_url=list_of(request, "parkedstream", subscription=state.name),
        chart=sparkline(state.lags, id=f"wb-lag-{_slug(state.name)}", title=title),
    )


def _word_of(state: SubscriptionState) -> tuple[str, str]:
    if state.error:
        return translate("stopped"), "fail"
    if state.status == "paused":
        return translate("paused"), "warn"
    if state.status == "new":
        return translate("not begun"), "warn"
    if state.needs_rebuild:
        return translate("needs rebuild"), "warn"
    if state.lag_seconds is not None and state.lag_seconds > LATE_SECONDS:
        return translate("late"), "fail" if state.seconds_to_catch_up is None else "warn"
    return translate("well"), "ok"


def _to_catch_up(state: SubscriptionState) -> str:
    if state.lag_events == 0:
        return translate("caught up")
    if state.seconds_to_catch_up is not None:
        return show_duration(state.seconds_to_catch_up)
    # What lags for moments grows and shrinks all the time.
    is_late = state.lag_seconds is not None and state.lag_seconds > _NEWS_SECONDS
    return translate("grows") if state.is_growing and is_late else "–"


def _group(request: HttpRequest, group: LetterFigures) -> ShownGroup:
    chosen = {"type__exact": group.type, "reason__exact": group.reason}
    return ShownGroup(group, list_of(request, "deadletter", **chosen))


class HistoryTable(NamedTuple):
    """The charts' figures, a line a minute, the newest first."""

    names: list[str]
    rows: list[tuple[datetime, list[str]]]


def _history_table(found: Found) -> HistoryTable:
    columns = [
        (translate("Events a second"), found.rates),
        (translate("Waiting in the outbox"), found.outbox),
        *((state.name, state.lags) for state in found.subscriptions),
    ]
    rows = [
        (minute, [show_figure(series[index]) for _, series in columns])
        for index, minute in enumerate(found.minutes)
        if any(series[index] is not None for _, series in columns)
    ]
    return HistoryTable([name for name, _ in columns], rows[::-1])


def show_duration(seconds: float) -> str:
    """Such as 12 s, 3 min or 2 h."""
    if seconds < 1:
        return translate("%s s") % show_figure(round(seconds, 1))
    if seconds < 120:
        return translate("%s s") % show_figure(round(seconds))
    if seconds < 7200:
        return translate("%s min") % show_figure(round(seconds / 60))
    if seconds < 172_800:
        return translate("%s h") % show_figure(round(seconds / 3600))
    return translate("%s d") % show_figure(round(seconds / 86_400))


def _slug(name: str) -> str:
    """Two names never have one id."""
    return "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name)
