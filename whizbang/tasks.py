"""Celery tasks: the same work as the worker's, for teams that run Celery already."""

from __future__ import annotations

from celery import shared_task

from whizbang.operations.worker import Worker


@shared_task(name="whizbang.work", ignore_result=True)
def work(store: str = "default", max_seconds: float = 4.0) -> dict[str, int]:
    """Work for some seconds. Overlap is harmless: leases and claims live in the database."""
    return dict(Worker(store=store).run(until_idle=False, max_seconds=max_seconds))
