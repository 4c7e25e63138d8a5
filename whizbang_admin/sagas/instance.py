"""What the page of one instance shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.models import ActionRequest, SagaInstance
from whizbang.operations.actions.sagas import (
    CancelSaga,
    FireTimeoutNow,
    ReplaySaga,
    RetrySaga,
    SkipSaga,
    saga_target,
)
from whizbang.operations.sagas.finding import known_sagas
from whizbang.operations.sagas.instance import NOT_STARTED, InstanceFacts, Waiting, look_at
from whizbang.store.event_store import event_store
from whizbang_admin.actions.forms import ask_for
from whizbang_admin.actions.links import Offered, offer
from whizbang_admin.audit.trail import actions_on
from whizbang_admin.frame.pages import Crumb
from whizbang_admin.sagas.addresses import Addresses
from whizbang_admin.sagas.diagrams import show_diagram
from whizbang_admin.sagas.masking import Sight
from whizbang_admin.sagas.story import PAGE_STEPS, document, show_steps

_LAST_VERSION = 2**31 - 1  # versions are 32-bit integers
_NEWEST_REQUESTS = 1_000  # among which the last replay is looked for: they have no index by target


class CancelForm(forms.Form):
    """What a cancel does about the steps that were taken."""

    is_compensated = forms.ChoiceField(
        label=_("Its steps"),
        required=False,
        choices=[
            ("true", _("are undone: what they have kept for that is sent, the last first")),
            ("false", _("stay as they are")),
        ],
    )


ask_for(CancelSaga.name, CancelForm)


@dataclass(frozen=True, slots=True)
class ShownWaiting:
    """A timeout with what can be done about it."""

    timeout: Waiting
    actions: list[Offered]


@dataclass(frozen=True, slots=True)
class ShownReplay:
    """The newest replay check that was asked for, with what differed."""

    request: ActionRequest
    steps: list[dict[str, Any]]

    @property
    def is_open(self) -> bool:
        return self.request.finished_at is None


def instance_context(request: HttpRequest, stream: str) -> dict[str, Any]:
    """For the template. Raises Http404 where neither a row, nor events, nor a failure tells of one."""
    saga, key = _parse(stream)
    addresses = Addresses(request)
    common = {"title": stream, "crumbs": (Crumb(saga),), "stream_url": addresses.stream(stream)}
    if saga not in known_sagas():
        rows = SagaInstance.objects.using(event_store().using)
        row = rows.defer("plans", "origin", "state").filter(stream=stream).first()
        return {**common, "row": row, "saga": saga, "key": key}
    try:
        facts = look_at(saga, key)
    except WhizbangError as exc:
        raise Http404(str(exc)) from exc
    failing, sight = facts.failing, Sight(saga, request.user)
    return {
        **common,
        "stream_url": addresses.stream(stream) if facts.version else "",
        "saga": saga,
        "key": key,
        "facts": facts,
        "is_started": facts.status != NOT_STARTED,
        "state": document(sight.state(facts.state)),
        "would_undo": [
            (plan.type, document(sight.payload(plan.type, plan.data)))
            for plan in facts.compensations
        ],
        "failing_url": addresses.event(failing.stream, failing.version) if failing else "",
        "left_out": [(e, addresses.event(e.stream, e.version)) for e in facts.left_out],
        "actions": _actions(request, facts),
        "waiting": [_waiting(request, facts, timeout) for timeout in facts.waiting],
        "replay": _last_replay(sight, key),
        "diagram": show_diagram(saga, key),
        "trail": actions_on(request, saga_target(saga, key)),
        **_story(request, facts, addresses, sight),
    }


def _parse(stream: str) -> tuple[str, str]:
    """The saga and the key in a stream's name. Raises Http404 for what is none."""
    for name in sorted(known_sagas(), key=len, reverse=True):
        if stream.startswith(f"{name}-"):
            return name, stream[len(name) + 1 :]
    row = SagaInstance.objects.using(event_store().using).filter(stream=stream).first()
    if row is None:
        raise Http404(translate("There is no saga %(stream)s.") % {"stream": stream})
    return row.saga, row.key


def _actions(request: HttpRequest, facts: InstanceFacts) -> list[Offered]:
    """What can be done to the instance as it is."""
    own: dict[str, Any] = {"saga": facts.saga, "key": facts.key}
    actions: list[Any] = []
    if facts.failing is not None:
        actions += [RetrySaga(**own), SkipSaga(**own)]
    if facts.status == SagaInstance.Status.OPEN:
        actions.append(CancelSaga(**own))
    if facts.version:
        actions.append(ReplaySaga(**own, is_keeping_going=True))
    return offer(request, *actions)


def _waiting(request: HttpRequest, facts: InstanceFacts, timeout: Waiting) -> ShownWaiting:
    own = {"saga": facts.saga, "key": facts.key, "timeout": timeout.name}
    actions: list[Any] = []
    if timeout.parked_at is not None:
        actions = [RetrySaga(**own), SkipSaga(**own)]
    elif not timeout.is_overdue:
        actions = [FireTimeoutNow(**own)]
    return ShownWaiting(timeout, offer(request, *actions))


def _last_replay(sight: Sight, key: str) -> ShownReplay | None:
    rows = ActionRequest.objects.using(event_store().using).defer("seen", "parameters")
    newest = rows.order_by("-id").values_list("id", flat=True).first() or 0
    own = rows.filter(pk__gt=newest - _NEWEST_REQUESTS, target=saga_target(sight.saga, key)[:200])
    found = own.filter(action=ReplaySaga.name).order_by("-id").first()
    if found is None:
        return None
    steps = [] if found.document is None else found.document["found"]
    return ShownReplay(found, [_differing(step, sight) for step in steps])


def _differing(step: dict[str, Any], sight: Sight) -> dict[str, Any]:
    """A step of a replay's document, each difference as text."""

    def side(one: dict[str, Any], name: str) -> str:
        value = sight.of_difference(one["what"], one[name])
        return value if isinstance(value, str) else document(value)

    return {
        **step,
        "differences": [
            {
                **one,
                "recorded": "" if one["recorded"] is None else side(one, "recorded"),
                "today": side(one, "today"),
            }
            for one in step["differences"]
        ],
    }


def _story(
    request: HttpRequest, facts: InstanceFacts, addresses: Addresses, sight: Sight
) -> dict[str, Any]:
    """A page of steps: the latest ones, unless the address says behind which version."""
    last = max(0, facts.version - PAGE_STEPS)
    after = _version_in(request.GET.get("after"), otherwise=last)
    steps = show_steps(sight, facts.key, after=after, addresses=addresses)
    until = steps[-1].step.version if steps else facts.version
    return {
        "steps": steps,
        "first_version": after + 1,
        "until_version": until,
        "earlier_after": max(0, min(after, facts.version) - PAGE_STEPS) if after else None,
        "later_after": until if until < facts.version else None,
        "latest_after": last,
    }


def _version_in(text: str | None, *, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _LAST_VERSION):
        raise Http404
    return int(text)
