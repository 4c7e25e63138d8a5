"""What the ways to append share: the event of 300 bytes, the bare rows, and an operation's contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any, NamedTuple
from uuid import uuid4

PAYLOAD_BYTES = 300  # of the event as JSON
NOTEBOOK_ID = "notebook-0000"
TEXT = "x" * 248
EVENTS_PER_STREAM = 5  # of the bulk import
BARE_TABLE, UNSAFE_TABLE, COUNTER_TABLE = "bare_event", "bare_unsafe_event", "bare_position"


class Appender(ABC):
    """One contestant. Made before the writers are forked, opened in each of them for every turn."""

    # Operations before the clock starts: statements are prepared and catalogues read by then.
    warm_ups = 3

    def __init__(self, name: str, *, batch: int = 1) -> None:
        self.name = name
        self.batch = batch  # events an operation

    @abstractmethod
    def open(self, writer: int) -> None:
        """Connect; `writer` numbers this process among those that run."""

    @abstractmethod
    def append(self) -> None:
        """Append `batch` events, committed."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class Row(NamedTuple):
    """The same columns as the library writes, but for the stream and the version."""

    type: str
    schema: int
    slice: int
    payload: Any
    metadata: Any
    occurred_at: datetime


def make_event() -> Any:
    from benchmarks.app.messages import NoteTaken

    return NoteTaken(notebook_id=NOTEBOOK_ID, number=1, text=TEXT)


def make_row(*, is_json: bool) -> Row:
    """The event and its metadata as the library encodes them, made once: bare forms pay for neither."""
    import whizbang
    from benchmarks.app.messages import NoteTaken
    from whizbang.messages.envelope import envelope
    from whizbang.messages.metadata import WireMetadata

    event, serializer = make_event(), whizbang.event_store().serializer
    payload = serializer.encode(event)
    metadata = serializer.encode(WireMetadata.of(envelope(event).metadata))
    return Row(
        NoteTaken.__whizbang__.type_name,
        1,
        17,
        payload.decode() if is_json else payload,
        metadata.decode() if is_json else metadata,
        datetime.now(UTC),
    )


def make_streams(writer: int) -> Iterator[str]:
    """Names that nobody has used: every operation writes to a stream of its own."""
    prefix = f"bench.Notebook-{uuid4().hex[:8]}-{writer}"
    return (f"{prefix}-{number}" for number in count())
