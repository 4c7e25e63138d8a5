"""A dry run: today's handlers over a part of history, and what they would change; nothing is written."""

from __future__ import annotations

from itertools import islice
from typing import Any

from whizbang.drivers.read_only import read_only
from whizbang.exceptions import WhizbangError
from whizbang.operations.dry_run_result import DryRun, FailingEvents, Sample
from whizbang.operations.rehearsal import rehearse
from whizbang.operations.replaying import decoded, rows_of_section, section_of
from whizbang.operations.scope import Scope, Section
from whizbang.operations.subscriptions import find_subscription
from whizbang.projections.model import ModelProjection
from whizbang.projections.trial import TrialFold
from whizbang.store.event_store import event_store
from whizbang.subscriptions.checkpoint import hold_still
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.start import ensure_rows

_CHUNK_EVENTS = 1_000
MOST_SAMPLES = 100
_MOST_TEXT = 200  # characters of a value in a sample
_NO_END = 2**63 - 1


def dry_run(
    subscription: str, scope: Scope, *, allow_outside_effects: bool = False, samples: int = 20
) -> DryRun:
    """Run today's handlers over a part of history and tell what they would change.

    A ModelProjection is folded in memory: all of history from nothing, compared with the live rows as they
    stand at the same position, and a part of it on top of the live rows. It runs in read-only transactions
    that are rolled back: what a method or `prefetch` writes raises `WriteRefused`. An async projection
    stands still while rows are compared.

    Others run their code in one transaction that is rolled back. What they do outside of this database
    cannot be undone, so that takes `allow_outside_effects`.

    A failing event sets its stream aside, as it would live. Raises WhizbangError for a subscription that
    does not exist, or has no code of yours.
    """
    definition = refuse_dry_run(subscription, allow_outside_effects=allow_outside_effects)
    ensure_rows([definition])
    if isinstance(getattr(definition, "projection", None), ModelProjection):
        return _ModelRun(definition, scope, min(samples, MOST_SAMPLES)).run()
    return rehearse(definition, scope)


def refuse_dry_run(
    subscription: str, *, allow_outside_effects: bool = False
) -> SubscriptionDefinition:
    """Raise WhizbangError for what cannot be tried, or not without outside effects; else give it."""
    definition = find_subscription(event_store(), subscription)
    if isinstance(getattr(definition, "projection", None), ModelProjection):
        return definition
    if definition.kind == "catalogue":
        raise WhizbangError(f"{subscription!r} runs no code of yours: there is nothing to try.")
    if definition.kind == "saga":
        raise WhizbangError(
            f"{subscription!r} is a saga, which goes on from where its instances stand: try its code with "
            "whizbang.testing.SagaScenario."
        )
    if not allow_outside_effects:
        raise WhizbangError(
            f"{subscription!r} is called as it is. Its writes to this database are rolled back, but mails, "
            "HTTP calls and other systems are not: allow outside effects if it has none."
        )
    return definition


class _ModelRun:
    """Folds without a lock up to where the projection stands, then what came meanwhile under it."""

    def __init__(self, definition: SubscriptionDefinition, scope: Scope, samples: int) -> None:
        self._definition, self._scope, self._samples = definition, scope, samples
        self._failing = FailingEvents()
        self._result = DryRun(subscription=definition.name, is_compared=scope.everything)

    def run(self) -> DryRun:
        definition = self._definition
        fold = TrialFold(
            definition.projection,  # type: ignore[attr-defined]
            using=definition.using,
            begins_blank=self._scope.everything,
            on_failure=self._failing.add,
        )
        is_inline = definition.kind == "inline"
        section = section_of(definition, self._scope)
        if not self._scope.everything:
            with read_only(definition.using, _nothing, is_snapshot=True):
                self._fold(fold, section)
                self._compare(fold)
        else:
            with read_only(definition.using, _nothing, is_snapshot=True):
                self._fold(fold, section)
            first = _nothing if is_inline else self._hold
            with read_only(definition.using, first, is_snapshot=is_inline) as position:
                # Rows of an inline projection are as new as the newest event that the snapshot shows.
                until = _NO_END if position is None else position
                self._refuse_going_back(section, until)
                self._fold(fold, Section(section.until, until, section.filter))
                self._compare(fold)
        self._failing.tell(self._result)
        return self._result

    def _hold(self) -> int | None:
        return hold_still(self._definition)

    def _refuse_going_back(self, section: Section, until: int) -> None:
        if until < section.until:
            raise WhizbangError(f"{self._definition.name!r} was set back meanwhile: try again.")

    def _fold(self, fold: TrialFold, section: Section) -> None:
        rows = rows_of_section(self._definition, section)
        while chunk := list(islice(rows, _CHUNK_EVENTS)):
            self._result.events += len(chunk)
            self._result.until = chunk[-1].position
            fold.apply(
                list(decoded(self._definition, chunk, self._failing)), self._failing.is_wanted
            )

    def _compare(self, fold: TrialFold) -> None:
        result = self._result
        for key, live, row, fields in fold.differences():
            if live is None and row is None:
                continue
            if live is None:
                result.rows_made += 1
                self._keep(key, "made", {})
            elif row is None:
                result.rows_removed += 1
                self._keep(key, "removed", {})
            elif fields:
                result.rows_changed += 1
                self._keep(key, "changed", fields)
            else:
                result.rows_same += 1

    def _keep(self, key: Any, change: str, fields: dict[str, tuple[Any, Any]]) -> None:
        if len(self._result.samples) < self._samples:
            told = {name: (_text(one), _text(other)) for name, (one, other) in fields.items()}
            self._result.samples.append(Sample(_text(key), change, told))


def _nothing() -> int | None:
    return None


def _text(value: Any) -> str:
    return str(value)[:_MOST_TEXT]
