"""Whether everything is well, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.utils.formats import number_format
from django.utils.translation import gettext as translate
from django.utils.translation import ngettext

from whizbang.operations.overview.figures import Figures
from whizbang.operations.overview.subscription_state import SubscriptionState
from whizbang.operations.overview.trouble import Place, Trouble
from whizbang.operations.overview.workers import WorkerEntry

LATE_SECONDS = 60.0  # that an event, or a message to another service, may wait

LOST_SECONDS = 900.0  # for so long a worker that is gone is news


def find_troubles(
    figures: Figures,
    subscriptions: Sequence[SubscriptionState],
    workers: Sequence[WorkerEntry],
    *,
    is_worked: bool,
    requests_waiting: int,
) -> list[Trouble]:
    """The urgent ones first."""
    found = [
        *_find_about_workers(workers, is_worked=is_worked),
        *(
            trouble
            for state in subscriptions
            for trouble in _find_about_subscription(state, is_worked=is_worked)
        ),
        *_find_about_messages(figures),
        *_find_about_sagas(figures),
        *_find_about_requests(requests_waiting),
    ]
    return sorted(found, key=lambda trouble: not trouble.is_urgent)


def counted(count: int, figures: Figures) -> str:
    """Such as 100,000+ where counting has stopped."""
    more = "+" if count >= figures.counted_to else ""
    return f"{number_format(count, force_grouping=True)}{more}"


def _find_about_workers(workers: Sequence[WorkerEntry], *, is_worked: bool) -> Iterator[Trouble]:
    if not is_worked:
        yield Trouble(
            text=translate("No worker was seen lately: nothing that waits gets done."),
            place=Place.WORKERS,
            is_urgent=True,
            command="workers",
        )
        return
    gone = [worker for worker in workers if worker.is_gone and worker.seen_seconds < LOST_SECONDS]
    stuck = [worker for worker in workers if worker.state == "stuck" and not worker.is_gone]
    for count, text in (
        (
            len(gone),
            ngettext(
                "%(count)s worker was lost lately, or is frozen: others do its work.",
                "%(count)s workers were lost lately, or are frozen: others do their work.",
                len(gone),
            ),
        ),
        (
            len(stuck),
            ngettext("%(count)s worker is stuck.", "%(count)s workers are stuck.", len(stuck)),
        ),
    ):
        if count:
            yield Trouble(text=text % {"count": count}, place=Place.WORKERS, command="workers")


def _find_about_subscription(state: SubscriptionState, *, is_worked: bool) -> Iterator[Trouble]:
    named = {"name": state.name}

    def trouble(text: str, *, is_urgent: bool = False) -> Trouble:
        return Trouble(
            text=text,
            place=Place.SUBSCRIPTION,
            name=state.name,
            is_urgent=is_urgent,
            command="status",
        )

    if state.error:
        yield trouble(translate("%(name)s stands still with an error.") % named, is_urgent=True)
    elif state.status == "paused":
        yield trouble(translate("%(name)s is paused.") % named)
    elif state.status == "new":
        yield trouble(translate("%(name)s has not begun: run migrate, or a worker.") % named)
    elif is_worked and state.lag_seconds is not None and state.lag_seconds > LATE_SECONDS:
        late = named | {"seconds": number_format(round(state.lag_seconds), force_grouping=True)}
        if state.is_growing or state.seconds_to_catch_up is None:
            text = translate("%(name)s is %(seconds)s s behind and does not come nearer.")
            yield trouble(text % late, is_urgent=True)
        else:
            text = translate("%(name)s is %(seconds)s s behind, and catches up.")
            yield trouble(text % late)
    if state.needs_rebuild:
        yield trouble(translate("%(name)s needs a rebuild: its code or model has changed.") % named)


def _find_about_messages(figures: Figures) -> Iterator[Trouble]:
    if count := figures.dead_letters:
        text = ngettext(
            "%(count)s dead letter waits for somebody to decide.",
            "%(count)s dead letters wait for somebody to decide.",
            count,
        )
        yield Trouble(
            text=text % {"count": counted(count, figures)},
            place=Place.DEAD_LETTERS,
            command="deadletters",
        )
    if count := figures.parked:
        text = ngettext(
            "%(count)s stream is parked: an event failed, and later ones wait.",
            "%(count)s streams are parked: an event failed, and later ones wait.",
            count,
        )
        yield Trouble(
            text=text % {"count": counted(count, figures)}, place=Place.PARKED, command="status"
        )
    age = figures.outbox_oldest_seconds
    if age is not None and age > LATE_SECONDS:
        text = translate("The oldest message to another service waits for %(seconds)s s.")
        yield Trouble(
            text=text % {"seconds": number_format(round(age), force_grouping=True)},
            place=Place.OUTBOX,
            is_urgent=True,
            command="status",
        )


def _find_about_sagas(figures: Figures) -> Iterator[Trouble]:
    if count := figures.timeouts_overdue:
        text = ngettext(
            "%(count)s timeout of a saga is overdue.",
            "%(count)s timeouts of sagas are overdue.",
            count,
        )
        yield Trouble(
            text=text % {"count": counted(count, figures)},
            place=Place.SAGAS,
            is_urgent=True,
            command="saga list --overdue",
        )
    if count := figures.timeouts_failed:
        text = ngettext(
            "%(count)s timeout of a saga has failed.",
            "%(count)s timeouts of sagas have failed.",
            count,
        )
        yield Trouble(
            text=text % {"count": counted(count, figures)},
            place=Place.SAGAS,
            command="saga list --failing",
        )


def _find_about_requests(count: int) -> Iterator[Trouble]:
    if count:
        text = ngettext(
            "%(count)s request waits for approval.", "%(count)s requests wait for approval.", count
        )
        yield Trouble(text=text % {"count": count}, place=Place.REQUESTS, command="requests")
