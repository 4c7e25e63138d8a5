"""Django groups for who looks, who operates and who decides, with the permissions that fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import transaction

from whizbang.exceptions import WhizbangError

VIEWER, OPERATOR, ADMIN = "whizbang viewer", "whizbang operator", "whizbang admin"
_APPS = ("whizbang", "whizbang_admin")
_PERSONAL = "view_personal_data"
_OPERATING = (
    "pause_subscription",
    "backfill_subscription",
    "heal_subscription",
    "rehearse_subscription",
    "retry_parkedstream",
    "skip_parkedstream",
    "redrive_deadletter",
    "retry_inboxmessage",
    "retry_outboxmessage",
    "retry_sagainstance",
    "skip_sagainstance",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChange:
    """One group: was it made, which permissions it was given now, and how many of ours it has in all."""

    name: str
    is_new: bool
    added: tuple[str, ...]
    permissions: int


def make_groups(*, is_dry_run: bool = False) -> list[GroupChange]:
    """Make the groups, or give those that are there what they lack; what else a team gave them stays.

    Raises WhizbangError without django.contrib.auth, and before `migrate` has made the permissions.
    """
    if not apps.is_installed("django.contrib.auth"):
        raise WhizbangError("Groups need 'django.contrib.auth' in INSTALLED_APPS.")
    from django.contrib.auth.models import Group, Permission

    rows = Permission.objects.filter(content_type__app_label__in=_APPS)
    ours = {row.codename: row for row in rows.select_related("content_type")}
    if missing := sorted({*_OPERATING, _PERSONAL} - ours.keys()):
        raise WhizbangError(
            f"There is no permission {missing[0]!r} yet: run `manage.py migrate` first."
        )
    with transaction.atomic(using=rows.db):
        return [
            _make(Group, name, [ours[codename] for codename in codenames], is_dry_run=is_dry_run)
            for name, codenames in _wanted(sorted(ours)).items()
        ]


def _wanted(codenames: list[str]) -> dict[str, list[str]]:
    seen = [name for name in codenames if name.startswith("view_") and name != _PERSONAL]
    return {VIEWER: seen, OPERATOR: [*seen, *_OPERATING], ADMIN: codenames}


def _make(groups: Any, name: str, permissions: list[Any], *, is_dry_run: bool) -> GroupChange:
    group = groups.objects.filter(name=name).first()
    has = set() if group is None else set(group.permissions.values_list("pk", flat=True))
    lacking = [permission for permission in permissions if permission.pk not in has]
    is_new = group is None
    if not is_dry_run:
        group = group or groups.objects.create(name=name)
        group.permissions.add(*lacking)
    return GroupChange(
        name=name,
        is_new=is_new,
        added=tuple(_labels(lacking)),
        permissions=len(permissions),
    )


def _labels(permissions: list[Any]) -> Iterator[str]:
    for permission in permissions:
        yield f"{permission.content_type.app_label}.{permission.codename}"
