"""Links to the page that does an action, for those who may do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.http import HttpRequest
from django.urls import Resolver404, resolve, reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode

from whizbang.operations.actions import Action, action_class
from whizbang_admin.frame.pages import list_url

BACK = "back"  # the parameter of an address that says where somebody came from


class Offered(NamedTuple):
    """One action that this user may do, to be shown as a link or button."""

    name: str
    label: str
    url: str


def offer(request: HttpRequest, *actions: Action) -> list[Offered]:
    """Those of these actions that the user may do; they lead back to the page that is shown now."""
    back = request.get_full_path()
    return [
        Offered(action.name, str(action.label), action_url(action, back=back))
        for action in actions
        if request.user.has_perm(action.permission)
    ]


def offer_named(request: HttpRequest, name: str, **parameters: object) -> list[Offered]:
    """As `offer`, for an action whose other parameters its page asks for: one, or none."""
    cls = action_class(name)
    if not request.user.has_perm(cls.permission):
        return []
    url = _url(request.current_app, name, parameters, request.get_full_path())
    return [Offered(name, str(cls.label), url)]


def action_url(action: Action, *, back: str = "", site: str = "admin") -> str:
    """The address of the page that does an action."""
    return _url(site, action.name, action.parameters(), back)


def _url(site: str | None, name: str, parameters: Mapping[str, Any], back: str) -> str:
    url = reverse("admin:whizbang_operatoraction_do", args=[name], current_app=site or "admin")
    whole: dict[str, Any] = {**parameters, **({BACK: back} if back else {})}
    return f"{url}?{urlencode(whole, doseq=True)}" if whole else url


def list_instead(url: str) -> str:
    """The address itself, but that of the list where it is the page of a row that is removed by what was done to it.

    Whether it is there still is not asked: a worker may remove it a moment later.
    """
    try:
        found = resolve(urlsplit(url).path)
    except Resolver404:
        return url
    model_admin = getattr(found.func, "model_admin", None)
    goes = getattr(model_admin, "goes_when_mended", False) and "object_id" in found.kwargs
    return list_url(model_admin) if goes and model_admin is not None else url


def back_from(request: HttpRequest, *, otherwise: str) -> str:
    """Where to go when it is done: only to a page of this site."""
    back = request.GET.get(BACK, "")
    is_ours = back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return back if is_ours else otherwise
