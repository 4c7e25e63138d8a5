"""Discard many dead letters: what a worker does, letter by letter."""

from __future__ import annotations

from django.db.models import Max

from whizbang.exceptions import WhizbangError
from whizbang.models import DeadLetter
from whizbang.operations.dead_letters import discard_dead_letter
from whizbang.operations.letter_filter import LetterFilter
from whizbang.store.event_store import event_store

_PAGE_ROWS = 500


def newest_letter() -> int:
    """The number of the newest dead letter, 0 without one: later ones are not meant by what is asked now."""
    newest = DeadLetter.objects.using(event_store().using).aggregate(newest=Max("pk"))["newest"]
    return newest or 0


def discard_matching(
    chosen: LetterFilter, *, until: int, reason: str, operator: str = ""
) -> tuple[int, int]:
    """Discard letters up to a number, oldest first; gives how many, and how many were left as they were.

    Each in a transaction of its own, with its own record: begun again, it goes on where it was.
    """
    rows = chosen.rows(event_store().using).filter(pk__lte=until)
    done, left, after = 0, 0, 0
    while pks := list(rows.filter(pk__gt=after).values_list("pk", flat=True)[:_PAGE_ROWS]):
        for pk in pks:
            try:
                discard_dead_letter(pk, reason, operator=operator)
                done += 1
            except WhizbangError:  # somebody else has decided about it meanwhile
                left += 1
        after = pks[-1]
    return done, left
