"""Entries of django-celery-beat that let Celery do the worker's work."""

from __future__ import annotations

from typing import Any

from whizbang.exceptions import WhizbangError

TASK = "whizbang.work"
ENTRY = "whizbang: work"


def install_schedule(*, every_seconds: int = 5) -> Any:
    """Create or update the beat entry that runs the worker's task; safe to call again.

    Raises WhizbangError where django-celery-beat is not installed.
    """
    try:
        from django_celery_beat.models import IntervalSchedule, PeriodicTask
    except (ImportError, RuntimeError) as exc:
        raise WhizbangError(
            "django-celery-beat is missing: pip install 'django-whizbang[celery]' and add "
            "'django_celery_beat' to INSTALLED_APPS."
        ) from exc
    interval, _ = IntervalSchedule.objects.get_or_create(
        every=every_seconds, period=IntervalSchedule.SECONDS
    )
    entry, _ = PeriodicTask.objects.update_or_create(
        name=ENTRY,
        defaults={
            "task": TASK,
            "interval": interval,
            # Ticks that wait longer than that say nothing that the next one does not say.
            "expire_seconds": every_seconds,
            "enabled": True,
        },
    )
    return entry
