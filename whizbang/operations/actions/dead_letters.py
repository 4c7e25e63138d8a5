"""Dead letters: handled once more, as they are or edited, or discarded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.models import DeadLetter, OperatorAction, Redrive
from whizbang.operations.actions.action import Action, By, Done, Fact
from whizbang.operations.dead_letters import discard_dead_letter, retry_dead_letter
from whizbang.operations.letter_discards import discard_matching, newest_letter
from whizbang.operations.letter_edits import (
    changed_fields,
    edit_dead_letter,
    editable_letter,
    encode_edited,
)
from whizbang.operations.letter_filter import LetterFilter
from whizbang.operations.letter_rows import keys_held, without_inbox_row
from whizbang.operations.redrive import OPEN, cancel_redrive, request_redrive
from whizbang.store.codec import JSON
from whizbang.store.event_store import event_store

Row = tuple[type[Any], Any]
MOST_COUNTED = 10_000
MOST_AT_ONCE = 100  # in one transaction, in the request


class LettersAction(Action, frozen=True, kw_only=True):
    """Base of what is done to dead letters: those of `ids` (numbers or message ids, commas between), or all that
    match the rest; `is_all` where nothing else is given.
    """

    keeps_record = True
    ids: str = ""
    type: str = ""
    cause: str = ""  # the class of the error of which they died
    since: datetime | None = None  # they died
    before: datetime | None = None
    is_all: bool = False

    def chosen(self) -> LetterFilter:
        """Raises WhizbangError for nothing, and for ids that are none."""
        found = LetterFilter.of(
            ids=self._ids(),
            type=self.type,
            reason=self.cause,
            since=self.since,
            before=self.before,
        )
        if self.is_all == bool(found.to_plain()):
            raise WhizbangError("Say which dead letters: some, those that match, or all of them.")
        return found

    def named(self) -> list[str]:
        """The ids, where nothing else chooses: these letters are done one by one, at once."""
        ids = self._ids()
        is_named = ids and LetterFilter.of(ids=ids) == self.chosen() and len(ids) <= MOST_AT_ONCE
        return ids if is_named else []

    def target(self) -> str:
        ids = self.named()
        if len(ids) == 1:
            return f"dead letter {ids[0]}"
        return f"dead letters ({self.chosen()})"

    def about(self) -> Row | None:
        ids = self.named()
        return (DeadLetter, int(ids[0])) if len(ids) == 1 and ids[0].isdigit() else None

    def state(self) -> dict[str, str]:
        """Of letters that are named; what matches a filter comes and goes by itself."""
        ids = self.named()
        if not ids:
            return {}
        state = {f"dead letter {id}": "gone" for id in ids}
        for letter in self._letters():
            there = f"there, {letter.attempts} attempts"
            for name in (str(letter.pk), str(letter.message_id)):
                if name in ids:
                    state[f"dead letter {name}"] = there
        return state

    def facts(self) -> Sequence[Fact]:
        count = self.count()
        more = "+" if count > MOST_COUNTED else ""
        facts = [Fact("dead letters", f"{min(count, MOST_COUNTED):,}{more}")]
        if not self.named():
            return [*facts, Fact("which", str(self.chosen()))]
        facts += [
            Fact(f"{letter.pk}", f"{letter.type} {letter.message_id}, died of {letter.reason}")
            for letter in self._letters()[:MOST_AT_ONCE]
        ]
        return facts

    def check(self) -> None:
        if not self.count():
            ids = self.named()
            raise WhizbangError(
                f"Dead letter {ids[0]} is gone: somebody has retried or discarded it."
                if len(ids) == 1
                else f"There is no such dead letter ({self.chosen()})."
            )

    def count(self) -> int:
        """How many there are, or one more than are counted."""
        found: int = self._letters().order_by()[: MOST_COUNTED + 1].count()
        return found

    def _letters(self) -> Any:
        return self.chosen().rows(event_store().using)

    def _ids(self) -> list[str]:
        return list(dict.fromkeys(id.strip() for id in self.ids.split(",") if id.strip()))


class RedriveLetters(LettersAction, frozen=True, kw_only=True):
    """At once where letters are named; else a worker does it, the first one alone, at a rate."""

    name = "redrive"
    label = _("Redrive")
    permission = "whizbang.redrive_deadletter"
    rate_per_second: float | None = None
    is_keeping_going: bool = False

    def facts(self) -> Sequence[Fact]:
        facts = list(super().facts())
        service, attempts = settings.SERVICE, settings.MAX_ATTEMPTS
        facts.append(
            Fact(
                "what happens",
                f"Each goes back where it was given up, in service {service}, with all of its "
                f"{attempts} attempts before it. What fails again comes back as a dead letter.",
            )
        )
        stuck = without_inbox_row(self._letters()) if self._is_now() else []
        if stuck:
            told = "their rows in the inbox are gone: publish these messages anew"
            facts.append(Fact("cannot go back", f"{', '.join(map(str, stuck))}: {told}"))
        return facts if self._is_now() else [*facts, *self._pace()]

    def check(self) -> None:
        super().check()
        rate = self.rate_per_second
        if rate is not None and not 0 < rate < float("inf"):
            raise WhizbangError("A rate is a number of messages a second above 0.")
        if self._is_now():
            return
        rows = Redrive.objects.using(event_store().using).filter(status__in=OPEN)
        plain = self.chosen().to_plain()
        for pk, chosen in rows.values_list("pk", "filter")[:100]:
            if chosen == plain:
                raise WhizbangError(
                    f"Redrive {pk} of these letters is open already: see how it goes."
                )

    def run(self, by: By) -> Done:
        if self._is_now():
            return _do_each(self.named(), lambda pk: str(_retry(pk, by)) + ".")
        run = request_redrive(
            self.chosen(),
            rate_per_second=self.rate_per_second,
            is_keeping_going=self.is_keeping_going,
            requested_by=by.operator,
            reason=by.reason,
        )
        text = f"Redrive {run.pk} is requested: {run.total} messages; a worker does it."
        return Done(text, {"redrive": run.pk}, record=_record_of(f"redrive {run.pk}"))

    def _is_now(self) -> bool:
        return bool(self.named()) and self.rate_per_second is None and not self.is_keeping_going

    def _pace(self) -> list[Fact]:
        facts = [
            Fact(
                "the first one",
                "goes alone: the rest waits until it is handled, and if it dies again nothing else is touched.",
            )
        ]
        if self.rate_per_second:
            lasts = max(1.0, self.count() / self.rate_per_second)
            facts.append(
                Fact("pace", f"at most {self.rate_per_second:g} a second, in about {lasts:,.0f} s")
            )
        else:
            facts.append(Fact("pace", "as fast as it goes"))
        ends = "goes on" if self.is_keeping_going else "stops at that"
        return [*facts, Fact("when another one dies again", f"the redrive {ends}")]


class CancelRedrive(Action, frozen=True, kw_only=True):
    name = "cancel-redrive"
    recorded_as = "cancel redrive"
    label = _("Cancel redrive")
    permission = "whizbang.redrive_deadletter"
    keeps_record = True
    redrive: int

    def target(self) -> str:
        return f"redrive {self.redrive}"

    def about(self) -> Row:
        return Redrive, self.redrive

    def state(self) -> dict[str, str]:
        run = self._run()
        # That it runs now, and did not when one looked, is no reason not to end it.
        return {"status": "open" if run.status in OPEN else run.status}

    def facts(self) -> Sequence[Fact]:
        run = self._run()
        return [
            Fact("put back so far", f"{run.done:,} of {run.total:,}"),
            Fact("left as dead letters", f"{max(0, run.total - run.done):,}"),
            Fact(
                "what happens",
                "No more dead letters are put back. Messages that are in the inbox already are handled "
                "as any others.",
            ),
        ]

    def check(self) -> None:
        run = self._run()
        if run.status not in OPEN:
            raise WhizbangError(f"Redrive {run.pk} is {run.status}: there is nothing to cancel.")

    def run(self, by: By) -> Done:
        run = cancel_redrive(self.redrive, operator=by.operator, reason=by.reason)
        text = f"Redrive {run.pk} is cancelled, {run.done} of {run.total} done."
        return Done(text, record=_record_of(self.target()))

    def _run(self) -> Redrive:
        run = Redrive.objects.using(event_store().using).filter(pk=self.redrive).first()
        if run is None:
            raise WhizbangError(f"Redrive {self.redrive} is not there: there is nothing to cancel.")
        return run


class DiscardLetters(LettersAction, frozen=True, kw_only=True):
    """At once where letters are named; else a worker does it. `until` is the newest letter that is meant."""

    name = "discard"
    label = _("Discard")
    permission = "whizbang.discard_deadletter"
    until: int | None = None

    @property
    def is_long(self) -> bool:  # type: ignore[override]
        return not self.named()

    def facts(self) -> Sequence[Fact]:
        keys = keys_held(self._letters()) if self.named() else []
        return [
            *super().facts(),
            *([Fact("ordering keys that go on", ", ".join(keys))] if keys else []),
            Fact(
                "what happens",
                "These messages are given up for good: they stay failed to whoever waits for them. Messages that "
                "wait behind one of the same ordering key go on without it. This cannot be undone.",
            ),
        ]

    def run(self, by: By) -> Done:
        ids = self.named()
        if ids:
            return _do_each(ids, lambda pk: f"{_discard(pk, by)} is discarded.")
        until = self.until if self.until is not None else newest_letter()
        done, left = discard_matching(
            self.chosen(), until=until, operator=by.operator, reason=by.reason
        )
        text = f"{done} dead letters are discarded" + (
            f", {left} left as they were." if left else "."
        )
        return Done(text, {"discarded": done, "left": left})

    def _letters(self) -> Any:
        rows = super()._letters()
        return rows if self.until is None else rows.filter(pk__lte=self.until)


class EditLetter(Action, frozen=True, kw_only=True):
    """Its payload comes from a page, or a file, of its own."""

    name = "edit-letter"
    recorded_as = "edit"
    family = "edit"
    label = _("Redrive an edited copy")
    permission = "whizbang.edit_deadletter"
    keeps_record = True
    payloads = ("payload",)
    letter: int
    payload: dict[str, Any]

    def target(self) -> str:
        return f"dead letter {self.letter}"

    def about(self) -> Row:
        return DeadLetter, self.letter

    def state(self) -> dict[str, str]:
        letter = DeadLetter.objects.using(event_store().using).filter(pk=self.letter).first()
        there = "gone" if letter is None else f"there, {letter.attempts} attempts"
        return {self.target(): there}

    def facts(self) -> Sequence[Fact]:
        letter = self._letter()
        before, _problem = editable_letter(letter)
        after = JSON.decode_plain(encode_edited(letter, self.payload)[1])
        changed = changed_fields(before, after)
        return [
            Fact("message", f"{letter.type} {letter.message_id}, died of {letter.reason}"),
            Fact("fields that change", ", ".join(changed) or "none"),
            Fact(
                "what happens",
                "The copy is handled in place of the message. The audit trail keeps the original.",
            ),
        ]

    def check(self) -> None:
        encode_edited(self._letter(), self.payload)

    def run(self, by: By) -> Done:
        done = edit_dead_letter(self.letter, self.payload, operator=by.operator, reason=by.reason)
        return Done(f"{done}, edited.", record=_record_of(self.target()))

    def _letter(self) -> DeadLetter:
        letter = DeadLetter.objects.using(event_store().using).filter(pk=self.letter).first()
        if letter is None:
            raise WhizbangError(
                f"Dead letter {self.letter} is gone: somebody has retried or discarded it."
            )
        return letter


def _retry(pk: int, by: By) -> Any:
    return retry_dead_letter(pk, operator=by.operator, reason=by.reason)


def _discard(pk: int, by: By) -> DeadLetter:
    return discard_dead_letter(pk, by.reason, operator=by.operator)


def _do_each(ids: Sequence[str], do: Callable[[int], str]) -> Done:
    """Each letter or not; raises WhizbangError where none could be done."""
    using = event_store().using
    texts: list[str] = []
    problems: list[str] = []
    first: OperatorAction | None = None
    found = list(LetterFilter.of(ids=ids).rows(using))
    known = {name for letter in found for name in (str(letter.pk), str(letter.message_id))}
    problems += [f"There is no dead letter {id}." for id in ids if id not in known]
    for letter in found:
        try:
            with transaction.atomic(using=using):
                texts.append(do(letter.pk))
        except WhizbangError as exc:
            problems.append(str(exc))
        else:
            first = first or _record_of(f"dead letter {letter.pk}")
    if not texts:
        raise WhizbangError(" ".join(problems))
    told = texts[0] if len(texts) == 1 else f"{len(texts)} dead letters are done with. {texts[0]} …"
    return Done(" ".join([told, *problems]), {"done": len(texts), "left": problems}, record=first)


def _record_of(target: str) -> OperatorAction | None:
    rows = OperatorAction.objects.using(event_store().using).filter(target=target)
    return rows.order_by("-pk").first()
