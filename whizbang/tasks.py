"""Celery tasks: the same work as the worker's, for teams that run Celery already."""

from __future__ import annotations

from collections.abc import Collection

from celery import shared_task

from whizbang.operations.tick import Tick
from whizbang.operations.worker_parts import ALL


@shared_task(name="whizbang.work", ignore_result=True)
def work(
    store: str = "default",
    max_seconds: float | None = 4.0,
    only: Collection[str] = tuple(sorted(ALL)),
    until_idle: bool = False,
    slot: int = 1,
) -> dict[str, int]:
    """Work for some seconds, or until nothing is left; nothing while another task of the same parts and slot works.

    A task that is delivered twice, or lost with its process, costs time only: what is done and what
    is not stands in the database.
    """
    counts = Tick(store=store, only=only, slot=slot).run(
        until_idle=until_idle, max_seconds=max_seconds
    )
    return dict(counts or {})
