"""What a list of sagas or of their timeouts is asked for in its address."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from whizbang.models import SagaInstance
from whizbang.operations.sagas.listing import names_with_instances
from whizbang.operations.sagas.waiting import DUE, FAILED, OVERDUE

_ALL = ("", _("all"))


class SagaField(forms.ChoiceField):
    """One saga, or all of them."""

    def __init__(self) -> None:
        super().__init__(label=_("Saga"), required=False, choices=_saga_choices)


def _saga_choices() -> list[tuple[str, Any]]:
    return [_ALL, *((name, name) for name in names_with_instances())]


class InstanceFilter(forms.Form):
    """Which instances."""

    saga = SagaField()
    status = forms.ChoiceField(
        label=_("Status"), required=False, choices=[_ALL, *SagaInstance.Status.choices]
    )
    failing = forms.BooleanField(label=_("With a failed step"), required=False)
    overdue = forms.BooleanField(label=_("Overdue"), required=False)

    def chosen(self) -> dict[str, Any]:
        """As the operations take it. Of a valid form."""
        data = self.cleaned_data
        return {
            "saga": data["saga"] or None,
            "status": data["status"] or None,
            "is_failing": data["failing"],
            "is_overdue": data["overdue"],
        }


class TimeoutFilter(forms.Form):
    """Which timeouts."""

    saga = SagaField()
    kind = forms.ChoiceField(
        label=_("Which"),
        required=False,
        choices=[
            (DUE, _("all that wait")),
            (OVERDUE, _("overdue")),
            (FAILED, _("failed")),
        ],
    )


class UnstartedFilter(forms.Form):
    """Of which saga."""

    saga = SagaField()
