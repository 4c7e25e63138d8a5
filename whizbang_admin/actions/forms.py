"""What the page of an action asks for besides the reason: options, by the action's name.

A module that has options for an action calls `ask_for`. A form's fields are named like the action's
parameters; what is left empty is not given.
"""

from __future__ import annotations

from django import forms

_forms: dict[str, type[forms.Form]] = {}


def ask_for(name: str, form: type[forms.Form]) -> None:
    """Let the page of this action ask for these options."""
    _forms[name] = form


def options_form(name: str) -> type[forms.Form] | None:
    """None for an action without options."""
    return _forms.get(name)
