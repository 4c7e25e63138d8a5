"""What-if: today's code over a part of history, without writing."""

from __future__ import annotations

import msgspec
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.operations.actions.action import By, Done, Fact
from whizbang.operations.actions.scoped import ScopedAction
from whizbang.operations.dry_run import MOST_SAMPLES, dry_run, refuse_dry_run
from whizbang.operations.dry_run_result import DryRun
from whizbang.operations.estimates import estimate_events


class Rehearse(ScopedAction, frozen=True, kw_only=True):
    """Its document is what a dry run tells; see operations/dry_run_result.py."""

    name = "dry-run"
    label = _("Run today's code without writing")
    permission = "whizbang.rehearse_subscription"
    is_long = True
    is_harmless = True
    needs_reason = False
    finds_values = True

    samples: int = MOST_SAMPLES

    def check(self) -> None:
        self.scope()
        refuse_dry_run(self.subscription, allow_outside_effects=self._allows())

    def facts(self) -> list[Fact]:
        section = self.section()
        text = translate(
            "A worker runs today's code over these events and tells what would be another row. Nothing is "
            "written."
        )
        return [
            Fact(translate("what happens"), text),
            Fact(translate("events"), str(estimate_events(self.definition().store, section))),
            Fact(translate("positions"), f"{section.after + 1:,} – {section.until:,}"),
        ]

    def run(self, by: By) -> Done:
        found = dry_run(
            self.subscription,
            self.scope(),
            allow_outside_effects=self._allows(),
            samples=self.samples,
        )
        return Done(_say(found), msgspec.to_builtins(found))

    def _allows(self) -> bool:
        return isinstance(self, RehearseOutside)


class RehearseOutside(Rehearse, frozen=True, kw_only=True):
    """Also for code in free form and subscribers, whose mails and calls are not undone."""

    name = "dry-run-outside"
    label = _("Run today's code, allowing outside effects")
    is_harmless = False
    needs_reason = True

    def facts(self) -> list[Fact]:
        text = translate(
            "The code is called as it is: mails, HTTP calls and writes to other systems happen."
        )
        return [Fact(translate("outside effects"), text), *super().facts()]


def _say(found: DryRun) -> str:
    failed = f", {found.failed} failing" if found.failed else ""
    told = f"{found.events} events up to position {found.until}{failed}"
    if found.statements or found.messages or found.recorded:
        return f"{told}: {sum(found.rows.values())} rows would be written."
    return (
        f"{told}: {found.rows_made} rows would be made, {found.rows_changed} changed, "
        f"{found.rows_removed} removed."
    )
