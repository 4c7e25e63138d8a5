"""Entries of django-celery-beat that let Celery do the worker's work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import router, transaction

from whizbang.exceptions import WhizbangError
from whizbang.operations.worker_parts import PARTS
from whizbang.store.event_store import event_store

TASK = "whizbang.work"
_OF_INTERVAL = 0.8  # a tick ends before the next one begins
# A rebuild may take hours: what is done within one tick must not wait for it.
_LONG = "rebuilds"


@dataclass(frozen=True, slots=True)
class ScheduleChange:
    """What became of one entry: created, changed, unchanged or removed."""

    name: str
    what: str
    is_enabled: bool = True


def install_schedule(
    *, every_seconds: int = 5, slots: int = 1, store: str = "default", dry_run: bool = False
) -> list[ScheduleChange]:
    """Make the beat entries of a store what they shall be; safe to call again.

    `slots`: that many ticks may work beside each other. An entry that somebody has disabled, or given a
    queue, stays so; those of more slots than asked for are removed.

    Raises WhizbangError where django-celery-beat is not installed.
    """
    event_store(store)  # so that no entry is made for one that does not exist
    if every_seconds < 1 or slots < 1:
        raise WhizbangError("Entries need at least one second between ticks, and one slot.")
    models = _beat_models()
    wanted = dict(_entries(store, every_seconds=every_seconds, slots=slots))
    with transaction.atomic(using=_using(models)):
        changes = [
            _install(models, name, known, every_seconds=every_seconds, dry_run=dry_run)
            for name, known in wanted.items()
        ]
        surplus = [entry for entry in _installed(models, store) if entry.name not in wanted]
        return changes + [_remove(entry, dry_run=dry_run) for entry in surplus]


def remove_schedule(*, store: str = "default", dry_run: bool = False) -> list[ScheduleChange]:
    """Remove the entries of a store; a tick that works ends by itself. Gives nothing where there are none."""
    models = _beat_models()
    with transaction.atomic(using=_using(models)):
        return [_remove(entry, dry_run=dry_run) for entry in _installed(models, store)]


def _entries(store: str, *, every_seconds: int, slots: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The task's arguments by the entry's name."""
    duties: dict[str, dict[str, Any]] = {
        "work": {
            "only": sorted(set(PARTS) - {_LONG}),
            "max_seconds": every_seconds * _OF_INTERVAL,
        },
        _LONG: {"only": [_LONG], "max_seconds": None, "until_idle": True},
    }
    for duty, known in duties.items():
        for slot in range(1, slots + 1):
            name = f"{_prefix(store)}{duty}" + (f" {slot}" if slot > 1 else "")
            yield name, {"store": store, "slot": slot, **known}


def _prefix(store: str) -> str:
    return "whizbang: " if store == "default" else f"whizbang ({store}): "


def _install(
    models: Any, name: str, known: dict[str, Any], *, every_seconds: int, dry_run: bool
) -> ScheduleChange:
    entry = models.PeriodicTask.objects.filter(name=name).first()
    what = "created" if entry is None else "changed"
    entry = entry or models.PeriodicTask(name=name)
    interval = entry.interval
    if (
        interval is not None
        and (interval.every, interval.period) == (every_seconds, "seconds")
        and (entry.task, entry.expire_seconds) == (TASK, every_seconds)
        and json.loads(entry.kwargs) == known
    ):
        return ScheduleChange(name, "unchanged", entry.enabled)
    if not dry_run:
        entry.task, entry.kwargs = TASK, json.dumps(known)
        entry.interval = _interval(models, every_seconds)
        entry.crontab = entry.solar = entry.clocked = None
        # Ticks that wait longer than that say nothing that the next one does not say.
        entry.expires, entry.expire_seconds = None, every_seconds
        entry.save()
    return ScheduleChange(name, what, entry.enabled)


def _interval(models: Any, every_seconds: int) -> Any:
    """Its table has no unique constraint, and others may have made the same interval several times."""
    known = {"every": every_seconds, "period": models.IntervalSchedule.SECONDS}
    found = models.IntervalSchedule.objects.filter(**known).order_by("pk").first()
    return found or models.IntervalSchedule.objects.create(**known)


def _installed(models: Any, store: str) -> list[Any]:
    entries = models.PeriodicTask.objects.filter(task=TASK, name__startswith=_prefix(store))
    return list(entries.order_by("name"))


def _remove(entry: Any, *, dry_run: bool) -> ScheduleChange:
    """One by one: a queryset's delete() would not tell a running beat."""
    if not dry_run:
        entry.delete()
    return ScheduleChange(entry.name, "removed", entry.enabled)


def _using(models: Any) -> str:
    return str(router.db_for_write(models.PeriodicTask))


def _beat_models() -> Any:
    try:
        from django_celery_beat import models
    except (ImportError, RuntimeError) as exc:
        raise WhizbangError(
            "django-celery-beat is missing: pip install 'django-whizbang[celery]' and add "
            "'django_celery_beat' to INSTALLED_APPS."
        ) from exc
    return models
