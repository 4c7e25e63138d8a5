"""What the pages of actions on subscriptions ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from whizbang.operations.rebuild.requests import METHODS, MOST_SHARES
from whizbang.store.event_store import event_store
from whizbang.subscriptions.registered import all_definitions
from whizbang_admin.actions.forms import ask_for

_MOST_POSITION = 2**63 - 1
_TIME = {"type": "datetime-local", "step": "1"}
_NUMBER = {"class": "vIntegerField"}


class AskingForm(forms.Form):
    """Says nothing about what is missing before somebody has sent any of it."""

    def __init__(self, data: Any = None, **known: Any) -> None:
        has_any = data is not None and any(data.get(name) for name in self.base_fields)
        super().__init__(data if has_any or not self.needs_any else None, **known)

    needs_any = True


class ScopeForm(AskingForm):
    """Which part of history is meant; see operations/scope.py."""

    everything = forms.BooleanField(label=_("All of history"), required=False)
    streams = forms.CharField(
        label=_("Streams"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        help_text=_("Whole names, one a line."),
    )
    last_days = forms.FloatField(
        label=_("Last days"),
        required=False,
        min_value=0,
        widget=forms.NumberInput(attrs=_NUMBER | {"step": "any"}),
    )
    last_events = forms.IntegerField(
        label=_("Last events"),
        required=False,
        min_value=1,
        max_value=_MOST_POSITION,
        widget=forms.NumberInput(attrs=_NUMBER),
    )
    since = forms.DateTimeField(
        label=_("Recorded since"),
        required=False,
        widget=forms.DateTimeInput(attrs=_TIME, format="%Y-%m-%dT%H:%M:%S"),
    )
    before = forms.DateTimeField(
        label=_("Recorded before"),
        required=False,
        widget=forms.DateTimeInput(attrs=_TIME, format="%Y-%m-%dT%H:%M:%S"),
    )
    after = forms.IntegerField(
        label=_("Behind position"),
        required=False,
        min_value=0,
        max_value=_MOST_POSITION,
        widget=forms.NumberInput(attrs=_NUMBER),
    )
    until = forms.IntegerField(
        label=_("Up to position"),
        required=False,
        min_value=0,
        max_value=_MOST_POSITION,
        widget=forms.NumberInput(attrs=_NUMBER),
    )
    scope_names = (
        "everything",
        "streams",
        "last_days",
        "last_events",
        "since",
        "before",
        "after",
        "until",
    )

    def clean_streams(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["streams"].splitlines() if line.strip()]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        given = (found.get(name) for name in self.scope_names)
        if not self.errors and not any(v not in (None, "", [], False) for v in given):
            raise forms.ValidationError(_("Say which events are meant."))
        return found


class BackfillForm(ScopeForm):
    rate = forms.FloatField(
        label=_("At most so many events a second"),
        required=False,
        min_value=0.001,
        widget=forms.NumberInput(attrs=_NUMBER | {"step": "any"}),
    )
    force = forms.BooleanField(
        label=_("These events were never applied"),
        required=False,
        help_text=_("Needed where an event must not be applied twice."),
    )


class RehearsalForm(ScopeForm):
    """The scope, and whose code is tried."""

    field_order = ("subscription",)

    subscription = forms.ChoiceField(label=_("Projection or subscriber"))

    def __init__(self, data: Any = None, **known: Any) -> None:
        super().__init__(data, **known)
        names = rehearsable_names()
        given = (data or known.get("initial") or {}).get("subscription")
        names += [given] if given and given not in names else []  # its action says what is wrong
        self.fields["subscription"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]
        self.order_fields(self.field_order)


class RebuildForm(AskingForm):
    needs_any = False

    hold = forms.BooleanField(
        label=_("Compare first"),
        required=False,
        help_text=_("Wait with publishing until somebody has looked at the differences."),
    )
    method = forms.ChoiceField(
        label=_("Method"),
        required=False,
        choices=[("", _("the best that is possible")), *((name, name) for name in METHODS)],
    )
    shares = forms.IntegerField(
        label=_("Shares"),
        required=False,
        min_value=1,
        max_value=MOST_SHARES,
        widget=forms.NumberInput(attrs=_NUMBER),
        help_text=_("Parts that so many workers make side by side."),
    )


class CountForm(AskingForm):
    count = forms.IntegerField(
        label=_("Partitions"),
        min_value=1,
        max_value=1024,
        widget=forms.NumberInput(attrs=_NUMBER),
    )


class SplitForm(AskingForm):
    needs_any = False

    first_slice = forms.IntegerField(
        label=_("First slice of the partition"),
        required=False,
        min_value=0,
        max_value=1023,
        widget=forms.NumberInput(attrs=_NUMBER),
        help_text=_("The widest one unless given."),
    )


class StreamForm(AskingForm):
    stream = forms.CharField(
        label=_("Stream"),
        max_length=255,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("Its whole name."),
    )


def rehearsable_names() -> list[str]:
    """Whose code can be tried: projections and subscribers."""
    kinds = ("projection", "inline", "subscriber")
    return sorted(d.name for d in all_definitions(event_store()) if d.kind in kinds)


FORMS: Mapping[str, type[forms.Form]] = {
    "backfill": BackfillForm,
    "dry-run": RehearsalForm,
    "dry-run-outside": RehearsalForm,
    "heal": StreamForm,
    "park": StreamForm,
    "partitions": CountForm,
    "rebuild": RebuildForm,
    "split": SplitForm,
}
for name, form in FORMS.items():
    ask_for(name, form)
