"""Pages of our own beside Django's lists: same frame, same breadcrumbs."""

from __future__ import annotations

from typing import Any, NamedTuple

import django
from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

# Django 6.1 made a list of them.
_BREADCRUMBS_ARE_LIST = django.VERSION >= (6, 1)


class Crumb(NamedTuple):
    """A place above a page; without a URL it is said, not linked."""

    text: str
    url: str = ""


class ReasonForm(forms.Form):
    """Why somebody does what cannot be undone; it is kept."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        error_messages={"required": _("Say why: the reason is kept in the log of the admin.")},
    )


def render_page(
    model_admin: admin.ModelAdmin[Any],
    request: HttpRequest,
    template: str,
    *,
    title: str,
    crumbs: tuple[Crumb, ...] = (),
    **context: Any,
) -> TemplateResponse:
    """A page below the list of a model. `crumbs` are the places between that list and the page."""
    may_view = model_admin.has_view_permission(request)
    list_name = capfirst(str(model_admin.opts.verbose_name_plural))
    above = Crumb(list_name, list_url(model_admin) if may_view else "")
    whole = frame_context(model_admin, request, title=title, crumbs=(above, *crumbs)) | context
    return TemplateResponse(request, template, whole)


def frame_context(
    model_admin: admin.ModelAdmin[Any],
    request: HttpRequest,
    *,
    title: str,
    crumbs: tuple[Crumb, ...],
) -> dict[str, Any]:
    """What whizbang_admin/base.html needs."""
    request.current_app = model_admin.admin_site.name
    return {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": title,
        "crumbs": crumbs,
        "breadcrumbs_are_list": _BREADCRUMBS_ARE_LIST,
    }


def list_url(model_admin: admin.ModelAdmin[Any]) -> str:
    """Address of a model's list."""
    name = f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_changelist"
    return reverse(name, current_app=model_admin.admin_site.name)


def back_to_list(model_admin: admin.ModelAdmin[Any]) -> HttpResponseBase:
    """Where an action ends, with its message."""
    return HttpResponseRedirect(list_url(model_admin))
