"""Drives a store driver and the model in step, over several sessions at a time.

Sessions are database aliases. Where commit order is position order the driver makes appenders wait for each
other, so only one session at a time has an open transaction there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Thread
from typing import Any, ClassVar

import msgspec
from django.db import connection, connections, transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.drivers.stores.model import Known, StoreModel, is_wanted
from whizbang.drivers.stores.base import (
    ANY,
    STREAM_EXISTS,
    EventStoreDriver,
    LogFilter,
    NewRow,
    Placed,
    RowsOfStream,
    StoredRow,
)
from whizbang.exceptions import ConcurrencyError

FIRST, SECOND, READER = "default", "second", "reader"
STREAMS = ["a.X-1", "a.X-2", "b.Y-1-ä'%", "c"]
CATEGORIES = ["a.X", "b.Y", "c", "none"]
TYPES = ["t.A", "t.B", "t.C"]
SLICES = [0, 1, 1023]
NOON = datetime(1997, 1, 2, 12, tzinfo=UTC)
TIMES = [NOON, NOON + timedelta(microseconds=1), NOON + timedelta(days=1)]

sessions = st.sampled_from([FIRST, SECOND])
streams = st.sampled_from(STREAMS)
rows = st.lists(
    st.tuples(st.sampled_from(TYPES), st.sampled_from(SLICES), st.sampled_from(TIMES)),
    max_size=3,
)
# Numbers are distances from where the stream is: -1 is stale, 1 and 5 are the future.
met = st.sampled_from([0, ANY])
expectations = met | st.sampled_from([0, STREAM_EXISTS, "no stream", "below zero", -1, 1, 5])
appends = st.lists(
    st.tuples(streams, met | expectations, rows),
    min_size=1,
    max_size=3,
    unique_by=lambda item: item[0],
)
some = st.none() | st.integers(0, 6)
picks = st.none() | st.integers(0, 30)


def subsets(values: list[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), unique=True, max_size=2)


conditions: dict[str, st.SearchStrategy[Any]] = {
    "types": subsets(TYPES),
    "categories": subsets(CATEGORIES),
    "slices": subsets(SLICES),
    "since": picks,
    "before": picks,
    "occurred_since": st.sampled_from(TIMES),
    "occurred_before": st.sampled_from(TIMES),
}
# Most reads have one condition: several at once leave little to see.
filters = st.one_of(
    st.just({}),
    *(st.fixed_dictionaries({name: values}) for name, values in conditions.items()),
    st.fixed_dictionaries({}, optional=conditions),
)


@contextmanager
def more_sessions() -> Iterator[None]:
    """Further connections of this thread to the test's database."""
    aliases = (SECOND, READER)
    for alias in aliases:
        connections[alias] = connection.copy(alias=alias)
    try:
        yield
    finally:
        for alias in aliases:
            connections[alias].close()
            del connections[alias]


class StoreMachine(RuleBasedStateMachine):
    """Appends, blocks and reads at random; every answer is held against the model's."""

    driver: ClassVar[type[EventStoreDriver]]
    _examples: ClassVar[Iterator[int]] = count(1)

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"run{next(self._examples)}"  # the table keeps what other examples wrote
        self.stores = {alias: self.driver(using=alias) for alias in (FIRST, SECOND, READER)}
        self.model = StoreModel()
        self.blocks: dict[str, list[Any]] = {FIRST: [], SECOND: []}
        self.start = self.stores[READER].settled_head()
        self.tail = self.stores[READER].tail(after=self.start)
        self.handed: list[StoredRow] = []
        self.number = count(1)

    # Appends

    @initialize(first=appends)
    def append_first(self, first: Any) -> None:
        self.append(FIRST, first)

    @rule(session=sessions, appends=appends)
    def append_again(self, session: str, appends: Any) -> None:
        """Half of what happens should be appends."""
        self.append(session, appends)

    @rule(session=sessions, appends=appends)
    def append(self, session: str, appends: Any) -> None:
        wanted = [self._rows_of(session, *item) for item in appends]
        if self._would_wait(session, wanted):
            return
        conflicts = self.model.conflicts(session, wanted)
        try:
            placed = self.stores[session].append(wanted)
        except ConcurrencyError as exc:
            assert exc.stream in conflicts, f"{exc} is no conflict"
            assert exc.actual in (None, self.model.version(session, exc.stream))
            self._after_conflict(session)
        else:
            assert not conflicts, f"{conflicts} should have been refused"
            self._check_places(session, wanted, placed)
            self.model.add(session, wanted, placed)

    @rule(session=sessions, stream=streams)
    def append_to_a_stream_named_twice(self, session: str, stream: str) -> None:
        wanted = self._rows_of(session, stream, ANY, [(TYPES[0], 0, NOON)])
        try:
            self.stores[session].append([wanted, wanted])
        except ValueError:
            return
        raise AssertionError("a stream was named twice, and nobody minded")

    @rule(stream=streams, expected=expectations, is_commit=st.booleans())
    def append_behind_an_open_transaction(
        self, stream: str, expected: Any, is_commit: bool
    ) -> None:
        """An append by a third session at the moment when the only open transaction ends.

        However the two meet, the append comes after: it waits for whoever wrote to its stream.
        """
        open_sessions = self.model.open_sessions()
        if len(open_sessions) != 1:
            return
        (session,) = open_sessions
        if not any(e.stream == self.prefix + stream for e in self.model.pending(session)):
            return
        wanted = [self._rows_of(READER, stream, expected, [(TYPES[0], 0, NOON)])]
        results: list[Any] = []
        thread = Thread(target=self._append_elsewhere, args=(wanted, results))
        thread.start()
        while self.blocks[session]:
            self._end(session, is_commit=is_commit)
        thread.join(60)
        self._check_result(wanted, results[0])

    def _append_elsewhere(self, wanted: list[RowsOfStream], results: list[Any]) -> None:
        try:
            results.append(self.driver(using=FIRST).append(wanted))
        except Exception as exc:
            results.append(exc)
        finally:
            connections.close_all()

    def _check_result(self, wanted: list[RowsOfStream], result: Any) -> None:
        conflicts = self.model.conflicts(READER, wanted)
        if conflicts:
            assert isinstance(result, ConcurrencyError), f"{result!r} instead of a conflict"
        else:
            assert isinstance(result, list), repr(result)
            self.model.add(READER, wanted, result)

    def _rows_of(self, session: str, stream: str, expected: Any, rows: Any) -> RowsOfStream:
        name = self.prefix + stream
        if expected == "no stream":
            expected = 0
        elif expected == "below zero":
            expected = -1
        elif isinstance(expected, int):
            expected += self.model.version(session, name)
        new = [
            NewRow(type, 1, slice, self._encode(next(self.number)), self._encode(0), occurred_at)
            for type, slice, occurred_at in rows
        ]
        return RowsOfStream(name, expected, new)

    def _would_wait(self, session: str, wanted: list[RowsOfStream]) -> bool:
        others = [other for other in self.model.open_sessions() if other != session]
        if others and self.driver.commit_order_is_position_order:
            return True
        names = {item.stream for item in wanted}
        return any(e.stream in names for other in others for e in self.model.pending(other))

    def _check_places(
        self, session: str, wanted: list[RowsOfStream], placed: list[list[Placed]]
    ) -> None:
        """Positions ascend in the order of the streams' names, above all that the session sees."""
        by_name = sorted(zip(wanted, placed, strict=True), key=lambda pair: pair[0].stream)
        positions = [place.position for _, places in by_name for place in places]
        seen = [event.position for event in self.model.view(session)]
        assert positions == sorted(set(positions))
        assert not positions or positions[0] > max(seen, default=self.start)

    def _after_conflict(self, session: str) -> None:
        """The transaction goes on as before, or is marked and ends its innermost block."""
        if not self.blocks[session]:
            return
        is_marked = transaction.get_rollback(using=session)
        assert not (is_marked and self.driver.conflict_keeps_transaction)
        if is_marked:
            self._end(session, is_commit=False)

    # Blocks

    @rule(session=sessions)
    def begin(self, session: str) -> None:
        others = [other for other in self.model.open_sessions() if other != session]
        if (others and self.driver.commit_order_is_position_order) or len(
            self.blocks[session]
        ) >= 3:
            return
        block = transaction.atomic(using=session)
        block.__enter__()
        self.blocks[session].append(block)
        self.model.begin(session)

    @rule(session=sessions, is_commit=st.booleans())
    def end(self, session: str, is_commit: bool) -> None:
        if self.blocks[session]:
            self._end(session, is_commit=is_commit)

    def _end(self, session: str, *, is_commit: bool) -> None:
        if not is_commit:
            transaction.set_rollback(True, using=session)
        self.blocks[session].pop().__exit__(None, None, None)
        self.model.end(session, is_commit=is_commit)

    def teardown(self) -> None:
        for session, blocks in self.blocks.items():
            while blocks:
                self._end(session, is_commit=False)

    # Reads

    @rule(
        session=sessions,
        stream=streams,
        after=some,
        until=some,
        as_of=picks,
        occurred=st.none() | st.sampled_from(TIMES),
        backwards=st.booleans(),
        limit=some,
    )
    def read_stream(
        self,
        session: str,
        stream: str,
        after: int | None,
        until: int | None,
        as_of: int | None,
        occurred: datetime | None,
        backwards: bool,
        limit: int | None,
    ) -> None:
        instant = self._recorded(session, as_of)
        got = self.stores[session].read_stream(
            self.prefix + stream,
            after=after or 0,
            until=until,
            as_of=instant,
            occurred_until=occurred,
            backwards=backwards,
            limit=limit,
        )
        expected = [
            event
            for event in self.model.stream(session, self.prefix + stream)
            if event.version > (after or 0)
            and (until is None or event.version <= until)
            and (instant is None or event.recorded_at <= instant)
            and (occurred is None or event.occurred_at <= occurred)
        ]
        self._compare(list(got), expected[:: -1 if backwards else 1][:limit])

    @rule(session=sessions, names=st.lists(streams, unique=True))
    def read_streams(self, session: str, names: list[str]) -> None:
        got = list(self.stores[session].read_streams([self.prefix + name for name in names]))
        for name in names:
            of_stream = [row for row in got if row.stream == self.prefix + name]
            self._compare(of_stream, self.model.stream(session, self.prefix + name))
        assert {row.stream for row in got} <= {self.prefix + name for name in names}

    @rule(session=sessions, stream=streams, until=some)
    def read_state(self, session: str, stream: str, until: int | None) -> None:
        store, name = self.stores[session], self.prefix + stream
        assert store.stream_version(name) == self.model.version(session, name)
        got = [
            (v, type, self._decode(data))
            for v, type, _, data in store.read_state(name, until=until)
        ]
        assert got == [
            (event.version, event.type, self._decode(event.payload))
            for event in self.model.stream(session, name)
            if until is None or event.version <= until
        ]

    @rule(session=sessions, after=picks, limit=some, filters=filters)
    def read_log(
        self, session: str, after: int | None, limit: int | None, filters: dict[str, Any]
    ) -> None:
        wanted = self._filter(session, **filters)
        view = self.model.view(session)
        low = self.start if after is None or not view else view[after % len(view)].position
        head = self._check_head(session)
        got = self.stores[session].read_log(after=low, until=head, limit=limit, filter=wanted)
        expected = [e for e in view if low < e.position <= head and is_wanted(e, wanted)]
        self._compare(list(got), expected[:limit])

    def _filter(
        self,
        session: str,
        categories: list[str] | None = None,
        since: int | None = None,
        before: int | None = None,
        **others: Any,
    ) -> LogFilter:
        return LogFilter(
            categories=None if categories is None else [self.prefix + c for c in categories],
            since=self._recorded(session, since),
            before=self._recorded(session, before),
            **others,
        )

    def _check_head(self, session: str) -> int:
        """Nothing that another may still commit is at or below the head; without others it is the end."""
        head = self.stores[session].settled_head()
        others = [other for other in self.model.open_sessions() if other != session]
        assert all(e.position > head for other in others for e in self.model.pending(other))
        if not others:
            assert head >= max((e.position for e in self.model.view(session)), default=self.start)
        return head

    @invariant()
    def tail_hands_out_what_is_settled(self) -> None:
        self.handed.extend(self.tail.read(limit=3))
        mark = self.tail.mark
        self._compare(self.handed, [e for e in self.model.committed if e.position <= mark])
        for session in self.model.open_sessions():
            assert all(event.position > mark for event in self.model.pending(session))
        self._check_head(READER)

    @rule()
    def read_tail_to_the_end(self) -> None:
        if self.model.open_sessions():
            return
        while found := self.tail.read(limit=100):
            self.handed.extend(found)
        self._compare(self.handed, self.model.committed)

    def _recorded(self, session: str, pick: int | None) -> datetime | None:
        """The very instant at which some event was recorded."""
        view = self.model.view(session)
        return None if pick is None or not view else view[pick % len(view)].recorded_at

    def _compare(self, got: list[StoredRow], expected: list[Known]) -> None:
        assert [row.position for row in got] == [event.position for event in expected]
        for row, event in zip(got, expected, strict=True):
            assert event.is_told_by(row), f"{row} instead of {event}"
            assert self._decode(row.payload) == self._decode(event.payload)

    @property
    def _format(self) -> Any:
        return msgspec.json if self.driver.supports_json else msgspec.msgpack

    def _encode(self, value: object) -> bytes:
        encoded: bytes = self._format.encode({"n": value})
        return encoded

    def _decode(self, data: bytes) -> object:
        return self._format.decode(data)
