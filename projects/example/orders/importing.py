"""Brings the CDNOW orders in as PlaceOrder commands: stored in batches, safe to repeat."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from uuid import UUID, uuid5

import whizbang
from projects.example.orders.cdnow import BadLine, Purchase, read_lines
from projects.example.orders.messages import Line, PlaceOrder
from projects.example.orders.progress import Progress

# A line keeps its message id for ever, so that importing it again is known as a repetition.
CDNOW = UUID("9f1e6f0a-52c5-4f6b-8b0e-4a7a0d2f6c11")

STOPPED = "Stopped. What is imported is kept; run it again to go on."
INTERRUPTED = 130  # the exit code that shells give for Ctrl-C


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the lines so far."""

    accepted: int = 0
    duplicates: int = 0
    bad: int = 0
    seconds: float = 0.0

    @property
    def lines(self) -> int:
        return self.accepted + self.duplicates + self.bad

    def __str__(self) -> str:
        rate = self.lines / self.seconds if self.seconds else 0
        return (
            f"{self.accepted:,} accepted, {self.duplicates:,} duplicates, {self.bad:,} bad"
            f" in {self.seconds:.1f} s ({rate:,.0f} a second)"
        )


def import_cdnow(
    path: Path,
    *,
    progress: Progress,
    batch_size: int,
    limit: int | None = None,
    after_batch: Callable[[], None] | None = None,
    max_seconds: float | None = None,
) -> Tally:
    """Store the orders of a file for the workers; `after_batch` may handle them at once.

    A bad line is reported and the rest goes on. Ends after the batch during which `max_seconds` are
    over.
    """
    started = time.monotonic()
    tally = Tally()
    for batch in _batches(path, batch_size=batch_size, limit=limit):
        for bad_line in _store(batch, tally):
            progress.say(f"Line {bad_line.line_number} is left out: {bad_line.reason}")
        if after_batch is not None:
            after_batch()
        progress.advance(len(batch))
        tally.seconds = time.monotonic() - started
        if max_seconds is not None and tally.seconds >= max_seconds:
            break
    return tally


def _batches(
    path: Path, *, batch_size: int, limit: int | None
) -> Iterator[list[Purchase | BadLine]]:
    lines = read_lines(path, limit=limit)
    while batch := list(islice(lines, batch_size)):
        yield batch


def _store(batch: Sequence[Purchase | BadLine], tally: Tally) -> list[BadLine]:
    """Store a batch, count it, and give its bad lines in order."""
    bad_lines = [line for line in batch if isinstance(line, BadLine)]
    purchases = [line for line in batch if isinstance(line, Purchase)]
    receipt = whizbang.publish_batch(
        whizbang.envelope(
            order_of(purchase),
            message_id=uuid5(CDNOW, f"{purchase.line_number}"),
            occurred_at=datetime(*purchase.day.timetuple()[:3], tzinfo=UTC),
        )
        for purchase in purchases
    )
    for index, error in receipt.rejected:
        number = purchases[index].line_number
        bad_lines.append(BadLine(line_number=number, reason=str(error)))
    tally.accepted += receipt.accepted
    tally.duplicates += receipt.duplicates
    tally.bad += len(bad_lines)
    return sorted(bad_lines, key=lambda bad_line: bad_line.line_number)


def order_of(purchase: Purchase) -> PlaceOrder:
    """Named by the line's number: lines that repeat each other are orders of their own."""
    line = Line(sku="CD", quantity=purchase.cds, amount=purchase.value)
    return PlaceOrder(
        order_id=f"cdnow-{purchase.line_number}",
        customer_id=purchase.customer_id,
        lines=[line],
    )
