"""Ready-made groups: what they may do, and that making them again changes nothing."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command

from whizbang import WhizbangError
from whizbang.operations.actions import action_class, action_names
from whizbang.operations.groups import ADMIN, OPERATOR, VIEWER, make_groups

pytestmark = pytest.mark.django_db


def names_of(group: str) -> set[str]:
    rows = Permission.objects.filter(group__name=group)
    return {f"{row.content_type.app_label}.{row.codename}" for row in rows}


def test_viewers_see_everything_but_personal_data_and_change_nothing() -> None:
    make_groups()
    found = names_of(VIEWER)
    assert {"whizbang.view_deadletter", "whizbang_admin.view_overview"} <= found
    assert "whizbang.view_personal_data" not in found
    assert all(name.partition(".")[2].startswith("view_") for name in found)


def test_operators_mend_and_admins_may_all() -> None:
    make_groups()
    viewer, operator, admin = map(names_of, (VIEWER, OPERATOR, ADMIN))
    assert viewer < operator < admin
    mending = (
        "pause_subscription",
        "retry_parkedstream",
        "redrive_deadletter",
        "retry_sagainstance",
    )
    assert {f"whizbang.{name}" for name in mending} <= operator
    deciding = (
        "rebuild_subscription",
        "edit_deadletter",
        "discard_deadletter",
        "cancel_sagainstance",
        "approve_actionrequest",
        "view_personal_data",
    )
    assert not {f"whizbang.{name}" for name in deciding} & operator
    assert {f"whizbang.{name}" for name in deciding} <= admin


def test_admins_may_do_every_action() -> None:
    make_groups()
    wanted = {action_class(name).permission for name in action_names()}
    assert wanted <= names_of(ADMIN)


def test_making_them_again_changes_nothing_and_gives_what_is_lacking() -> None:
    first = make_groups()
    assert all(change.is_new and change.added for change in first)
    assert not any(change.is_new or change.added for change in make_groups())
    Group.objects.get(name=VIEWER).permissions.remove(
        Permission.objects.get(codename="view_deadletter")
    )
    changes = {change.name: change.added for change in make_groups()}
    assert changes == {VIEWER: ("whizbang.view_deadletter",), OPERATOR: (), ADMIN: ()}


def test_what_a_team_added_stays() -> None:
    make_groups()
    group = Group.objects.get(name=VIEWER)
    more = Permission.objects.get(codename="add_user")
    group.permissions.add(more)
    group.user_set.add(User.objects.create(username="ada"))
    make_groups()
    assert more in group.permissions.all()
    assert group.user_set.count() == 1


def test_dry_run_makes_nothing() -> None:
    changes = make_groups(is_dry_run=True)
    assert all(change.is_new and change.added for change in changes)
    assert not Group.objects.exists()


def test_permissions_that_are_not_made_yet_are_told() -> None:
    Permission.objects.filter(codename="pause_subscription").delete()
    with pytest.raises(WhizbangError, match="manage.py migrate"):
        make_groups()
    with pytest.raises(CommandError, match="pause_subscription"):
        call_command("whizbang", "groups")


def test_it_needs_djangos_users(monkeypatch: pytest.MonkeyPatch) -> None:
    from whizbang.operations import groups

    class Apps:
        def is_installed(self, name: str) -> bool:
            return False

    monkeypatch.setattr(groups, "apps", Apps())
    with pytest.raises(WhizbangError, match=r"django\.contrib\.auth"):
        make_groups()


def test_command_says_what_changed() -> None:
    def run(*arguments: str) -> str:
        out = StringIO()
        call_command("whizbang", "groups", *arguments, stdout=out)
        return out.getvalue()

    assert "whizbang viewer: new" in run("--dry-run")
    shown = run()
    assert "whizbang viewer: new" in shown and "    + whizbang.view_deadletter" in shown
    assert "whizbang admin: as it was" in run()
    found: list[dict[str, Any]] = [json.loads(line) for line in run("--json").splitlines()]
    assert [change["name"] for change in found] == [VIEWER, OPERATOR, ADMIN]
