"""The entries of django-celery-beat, as `manage.py whizbang schedule` makes them."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from whizbang import WhizbangError
from whizbang.operations.schedule import install_schedule, remove_schedule
from whizbang.operations.worker_parts import ALL

HAS_BEAT = "django_celery_beat" in settings.INSTALLED_APPS
pytestmark = pytest.mark.django_db
with_beat = pytest.mark.skipif(not HAS_BEAT, reason="django-celery-beat is not installed")


def schedule(*arguments: str) -> str:
    out = StringIO()
    call_command("whizbang", "schedule", *arguments, stdout=out)
    return out.getvalue()


def entries() -> dict[str, Any]:
    from django_celery_beat.models import PeriodicTask

    return {entry.name: entry for entry in PeriodicTask.objects.filter(name__contains="whizbang")}


@with_beat
def test_entries_together_do_all_parts_and_rebuilds_hold_nothing_up() -> None:
    install_schedule()
    work, rebuilds = (
        json.loads(entries()[name].kwargs) for name in ("whizbang: work", "whizbang: rebuilds")
    )
    assert {*work["only"], *rebuilds["only"]} == ALL
    assert rebuilds["only"] == ["rebuilds"]
    assert work["max_seconds"] < entries()["whizbang: work"].interval.every


@with_beat
def test_what_is_installed_again_changes_only_what_differs() -> None:
    assert schedule() == "whizbang: work: created\nwhizbang: rebuilds: created\n"
    before = {name: entry.pk for name, entry in entries().items()}
    assert schedule() == "whizbang: work: unchanged\nwhizbang: rebuilds: unchanged\n"
    assert schedule("--every-seconds", "2").count("changed") == 2
    assert {name: entry.pk for name, entry in entries().items()} == before
    assert {entry.interval.every for entry in entries().values()} == {2}


@with_beat
def test_what_operators_have_set_stays() -> None:
    install_schedule()
    entry = entries()["whizbang: work"]
    entry.enabled, entry.queue = False, "slow"
    entry.save()
    assert "whizbang: work: changed, but disabled" in schedule("--every-seconds", "2")
    entry.refresh_from_db()
    assert (entry.enabled, entry.queue, entry.interval.every) == (False, "slow", 2)


@with_beat
def test_an_interval_that_others_have_made_twice_is_no_trouble() -> None:
    from django_celery_beat.models import IntervalSchedule

    for _ in range(2):
        IntervalSchedule.objects.create(every=5, period="seconds")
    install_schedule()
    assert IntervalSchedule.objects.count() == 2


@with_beat
def test_fewer_slots_remove_entries() -> None:
    install_schedule(slots=3)
    assert len(entries()) == 6
    assert schedule().count("removed") == 4
    assert sorted(entries()) == ["whizbang: rebuilds", "whizbang: work"]


@with_beat
def test_all_entries_are_removed_and_those_of_others_stay() -> None:
    from django_celery_beat.models import PeriodicTask

    install_schedule()
    other = PeriodicTask.objects.get(name="whizbang: work")
    other.pk, other.name = None, "whizbang once more"
    other.save()
    assert schedule("--remove") == "whizbang: rebuilds: removed\nwhizbang: work: removed\n"
    assert list(entries()) == ["whizbang once more"]
    assert schedule("--remove") == "No entries are there.\n"


@with_beat
def test_dry_run_writes_nothing() -> None:
    assert "created" in schedule("--dry-run")
    assert not entries()
    install_schedule()
    assert "removed" in schedule("--dry-run", "--remove")
    assert json.loads(schedule("--json"))[0] == {
        "name": "whizbang: work",
        "what": "unchanged",
        "is_enabled": True,
    }


@with_beat
def test_store_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CommandError, match="No store 'other'"):
        schedule("--store", "other")


@pytest.mark.skipif(HAS_BEAT, reason="django-celery-beat is installed")
@pytest.mark.parametrize("operation", [install_schedule, remove_schedule])
def test_missing_beat_is_told_with_what_to_do(operation: Any) -> None:
    with pytest.raises(WhizbangError, match="pip install"):
        operation()
