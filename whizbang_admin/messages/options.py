"""What the pages of actions on messages ask for besides the reason."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from whizbang_admin.actions.forms import ask_for

USUAL_RATE = 10  # messages a second


class MomentField(forms.DateTimeField):
    """A time that a browser lets one choose; in the zone of the admin."""

    widget = forms.DateTimeInput(
        format="%Y-%m-%dT%H:%M:%S", attrs={"type": "datetime-local", "step": "1"}
    )


class RedriveOptions(forms.Form):
    """How fast, how far, and which of those that match."""

    rate_per_second = forms.FloatField(
        label=_("Messages a second, at most"),
        help_text=_(
            "With a rate a worker does it: the first one goes alone, and the rest waits for it."
        ),
        min_value=0.001,
        max_value=10_000,
        required=False,
        widget=forms.NumberInput(attrs={"class": "vIntegerField", "step": "any"}),
    )
    is_keeping_going = forms.BooleanField(
        label=_("Go on past messages that die again (but for the first)"), required=False
    )
    since = MomentField(label=_("Died then or later"), required=False)
    before = MomentField(label=_("Died before"), required=False)


class RescheduleOptions(forms.Form):
    """When instead."""

    to = MomentField(label=_("To be handled at"))


ask_for("redrive", RedriveOptions)
ask_for("reschedule", RescheduleOptions)
