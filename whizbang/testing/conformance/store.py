"""What every event store driver does.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, db):
            return MyStore(using="default")

The table is empty before each test, or holds rows of rolled-back tests only.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter

import msgspec
import pytest
from django.db import transaction

from whizbang.drivers.stores.base import (
    ANY,
    NO_STREAM,
    STREAM_EXISTS,
    EventStoreDriver,
    Expected,
    LogFilter,
    NewRow,
    RowsOfStream,
    StoredRow,
)
from whizbang.exceptions import ConcurrencyError

NOON = datetime(1997, 1, 2, 12, tzinfo=UTC)


class StoreContract:
    """Append, expected versions, reading by stream and over the whole log."""

    @pytest.fixture
    def store(self) -> EventStoreDriver:
        raise AssertionError("Override the fixture `store` with the driver to test.")

    def row(
        self, store: EventStoreDriver, type: str = "t.A", at: datetime = NOON, slice: int = 1
    ) -> NewRow:
        encode = msgspec.json.encode if store.supports_json else msgspec.msgpack.encode
        return NewRow(type, 1, slice, encode({"ä": [1, None]}), encode({"m": 1}), at)

    def append(
        self, store: EventStoreDriver, stream: str, count: int = 1, expected: Expected = ANY
    ) -> list[int]:
        rows = [self.row(store) for _ in range(count)]
        (places,) = store.append([RowsOfStream(stream, expected, rows)])
        return [place.version for place in places]

    def log(self, store: EventStoreDriver, **filters: object) -> list[StoredRow]:
        wanted = LogFilter(**filters)  # type: ignore[arg-type]
        return list(store.read_log(after=0, until=store.settled_head(), limit=None, filter=wanted))

    def refuses(self, store: EventStoreDriver, stream: str, expected: Expected) -> bool:
        before = self.log(store)
        try:
            with transaction.atomic(using=store.using):
                self.append(store, stream, 2, expected)
        except ConcurrencyError:
            assert self.log(store) == before, "a refused append wrote something"
            return True
        return False

    def test_first_event_has_version_one_and_versions_follow(self, store: EventStoreDriver) -> None:
        assert self.append(store, "s-1", 2, NO_STREAM) == [1, 2]
        assert self.append(store, "s-1", 3, 2) == [3, 4, 5]
        assert store.stream_version("s-1") == 5
        assert store.stream_version("s-2") == 0

    def test_what_is_read_is_what_was_appended(self, store: EventStoreDriver) -> None:
        before = datetime.now(UTC) - timedelta(minutes=1)
        new = self.row(store, at=NOON + timedelta(microseconds=7))
        ((placed,),) = store.append([RowsOfStream("s-ä'%", NO_STREAM, [new])])
        (row,) = store.read_stream("s-ä'%")
        decode = msgspec.json.decode if store.supports_json else msgspec.msgpack.decode
        assert (row.stream, row.version, row.type, row.schema) == ("s-ä'%", 1, "t.A", 1)
        assert (row.position, row.recorded_at) == (placed.position, placed.recorded_at)
        assert row.occurred_at == NOON + timedelta(microseconds=7)
        assert decode(row.payload) == {"ä": [1, None]}
        assert decode(row.metadata) == {"m": 1}
        assert before < row.recorded_at < datetime.now(UTC) + timedelta(minutes=1)

    def test_append_only_gives_the_versions(self, store: EventStoreDriver) -> None:
        one, three = [self.row(store)], [self.row(store) for _ in range(3)]
        assert store.append_only([RowsOfStream("s-1", NO_STREAM, one)]) == [1]
        several = [
            RowsOfStream("s-2", NO_STREAM, three),
            RowsOfStream("s-0", 5, []),
            RowsOfStream("s-1", ANY, three),
        ]
        assert store.append_only(several) == [3, 0, 4]
        assert [(row.stream, row.version) for row in self.log(store)] == [
            ("s-1", 1),
            *(("s-1", version) for version in (2, 3, 4)),
            *(("s-2", version) for version in (1, 2, 3)),
        ]

    @pytest.mark.parametrize("expected", [0, 2, 4, STREAM_EXISTS])
    @pytest.mark.parametrize("count", [1, 2])
    def test_append_only_is_refused_when_the_stream_is_elsewhere(
        self, store: EventStoreDriver, expected: Expected, count: int
    ) -> None:
        stream = "s-new" if expected is STREAM_EXISTS else "s-1"
        self.append(store, "s-1", 3)
        rows = [self.row(store) for _ in range(count)]
        with pytest.raises(ConcurrencyError), transaction.atomic(using=store.using):
            store.append_only([RowsOfStream(stream, expected, rows)])
        assert [row.version for row in self.log(store)] == [1, 2, 3]

    @pytest.mark.parametrize("expected", [0, 2, 4, 99, -1])
    def test_append_is_refused_when_the_stream_is_elsewhere(
        self, store: EventStoreDriver, expected: int
    ) -> None:
        self.append(store, "s-1", 3)
        assert self.refuses(store, "s-1", expected)

    @pytest.mark.parametrize("expected", [-1, 2, 4])
    def test_single_event_is_refused_when_the_stream_is_elsewhere(
        self, store: EventStoreDriver, expected: int
    ) -> None:
        self.append(store, "s-1", 3)
        with pytest.raises(ConcurrencyError), transaction.atomic(using=store.using):
            self.append(store, "s-1", 1, expected)
        assert [row.version for row in self.log(store)] == [1, 2, 3]

    def test_version_from_the_future_refuses_all_streams(self, store: EventStoreDriver) -> None:
        streams = [
            RowsOfStream("s-1", NO_STREAM, [self.row(store)]),
            RowsOfStream("s-2", 1, [self.row(store)]),
        ]
        with pytest.raises(ConcurrencyError) as caught, transaction.atomic(using=store.using):
            store.append(streams)
        assert (caught.value.stream, caught.value.actual) == ("s-2", 0)
        assert self.log(store) == []

    def test_refused_append_leaves_the_transaction_usable_or_marked(
        self, store: EventStoreDriver
    ) -> None:
        self.append(store, "s-1")
        with transaction.atomic(using=store.using):
            with pytest.raises(ConcurrencyError):
                self.append(store, "s-1", 1, NO_STREAM)
            is_marked = transaction.get_rollback(using=store.using)
            assert is_marked is not store.conflict_keeps_transaction
            if store.conflict_keeps_transaction:
                assert self.append(store, "s-1", 1, 1) == [2]
        assert store.stream_version("s-1") == (2 if store.conflict_keeps_transaction else 1)

    def test_stream_named_twice_in_one_append_is_refused(self, store: EventStoreDriver) -> None:
        rows = RowsOfStream("s-1", ANY, [self.row(store)])
        with pytest.raises(ValueError, match="named twice"):
            store.append([rows, rows])

    @pytest.mark.parametrize("expected", [1, STREAM_EXISTS])
    def test_append_to_a_stream_that_is_not_there_is_refused(
        self, store: EventStoreDriver, expected: Expected
    ) -> None:
        assert self.refuses(store, "s-new", expected)

    def test_any_and_stream_exists_take_the_next_version(self, store: EventStoreDriver) -> None:
        assert self.append(store, "s-1", 1, ANY) == [1]
        assert self.append(store, "s-1", 2, STREAM_EXISTS) == [2, 3]
        assert self.append(store, "s-1", 1, ANY) == [4]

    def test_one_refused_stream_refuses_all(self, store: EventStoreDriver) -> None:
        self.append(store, "s-2")
        streams = [
            RowsOfStream("s-1", NO_STREAM, [self.row(store)]),
            RowsOfStream("s-2", NO_STREAM, [self.row(store)]),
        ]
        with pytest.raises(ConcurrencyError) as caught, transaction.atomic(using=store.using):
            store.append(streams)
        assert caught.value.stream == "s-2"
        assert store.stream_version("s-1") == 0

    def test_places_come_in_the_order_of_the_arguments(self, store: EventStoreDriver) -> None:
        streams = [
            RowsOfStream(name, NO_STREAM, [self.row(store)] * count)
            for name, count in (("s-b", 2), ("s-a", 1), ("s-c", 3))
        ]
        places = store.append(streams)
        assert [[p.version for p in group] for group in places] == [[1, 2], [1], [1, 2, 3]]
        positions = [row.position for row in self.log(store)]
        assert positions == sorted(p.position for group in places for p in group)
        for group in places:
            assert [p.position for p in group] == sorted(p.position for p in group)

    def test_nothing_to_append_is_no_error(self, store: EventStoreDriver) -> None:
        assert store.append([]) == []
        assert self.append(store, "s-1", 0) == []

    def test_streams_read_forwards_backwards_and_in_part(self, store: EventStoreDriver) -> None:
        self.append(store, "s-1", 5)
        self.append(store, "s-10", 1)

        def versions(**parts: object) -> list[int]:
            return [row.version for row in store.read_stream("s-1", **parts)]  # type: ignore[arg-type]

        assert versions() == [1, 2, 3, 4, 5]
        assert versions(after=2, until=4) == [3, 4]
        assert versions(backwards=True, limit=2) == [5, 4]
        assert versions(limit=0) == []
        assert versions(as_of=datetime(2000, 1, 1, tzinfo=UTC)) == []
        assert versions(occurred_until=NOON) == [1, 2, 3, 4, 5]
        assert versions(occurred_until=NOON - timedelta(seconds=1)) == []

    def test_several_streams_read_with_their_events_in_order(self, store: EventStoreDriver) -> None:
        for name in ("s-2", "s-1", "s-3", "s-1"):
            self.append(store, name, 2)
        rows = list(store.read_streams(["s-1", "s-3", "s-none"]))
        of_one = [row.version for row in rows if row.stream == "s-1"]
        assert of_one == [1, 2, 3, 4]
        assert {row.stream for row in rows} == {"s-1", "s-3"}

    def test_the_log_is_read_stream_by_stream(self, store: EventStoreDriver) -> None:
        for name in ("s-2", "s-10", "s-1", "s-2"):
            self.append(store, name, 600)
        groups = [
            (stream, [row.version for row in rows])
            for stream, rows in groupby(store.read_by_stream(), attrgetter("stream"))
        ]
        assert len(groups) == 3
        found = dict(groups)
        assert found["s-1"] == found["s-10"] == list(range(1, 601))
        assert found["s-2"] == list(range(1, 1201))

    def test_reads_go_beyond_a_page(self, store: EventStoreDriver) -> None:
        self.append(store, "s-1", 2500)
        assert len(list(store.read_stream("s-1"))) == 2500
        assert len(list(store.read_stream("s-1", backwards=True))) == 2500
        assert len(list(store.read_streams(["s-1"]))) == 2500
        assert len(self.log(store)) == 2500
        head = store.settled_head()
        assert len(list(store.read_log(after=0, until=head, limit=2001))) == 2001

    def test_a_log_read_ends_where_it_is_told(self, store: EventStoreDriver) -> None:
        self.append(store, "s-1", 1200)
        positions = [row.position for row in self.log(store)]
        for filter in (LogFilter(), LogFilter(types=["t.A"])):
            for count in (1, 999, 1000, 1001):
                until = positions[count - 1]
                read = list(store.read_log(after=0, until=until, limit=None, filter=filter))
                assert [row.position for row in read] == positions[:count]

    def test_a_log_is_counted_as_it_is_read(self, store: EventStoreDriver) -> None:
        self.append(store, "s-1", 1200)
        self.append(store, "s-2", 3)
        positions = [row.position for row in self.log(store)]
        assert store.count_log(after=0, until=positions[-1]) == 1203
        assert store.count_log(after=positions[0], until=positions[-2]) == 1201
        of_one = LogFilter(streams=["s-2"])
        assert store.count_log(after=0, until=positions[-1], filter=of_one) == 3
        assert store.count_log(after=0, until=positions[-2], filter=of_one) == 2

    def test_log_reads_by_every_filter(self, store: EventStoreDriver) -> None:
        later = NOON + timedelta(days=1)
        one = self.row(store, "t.A", NOON, 1)
        two = self.row(store, "t.B", later, 2)
        store.append([RowsOfStream("a.X-1-2", ANY, [one]), RowsOfStream("b.Y-1", ANY, [two])])

        def found(**filters: object) -> list[str]:
            return [row.type for row in self.log(store, **filters)]

        assert found() == ["t.A", "t.B"]
        assert found(types=["t.B", "t.C"]) == ["t.B"]
        assert found(types=[]) == []
        assert found(categories=["a.X"]) == ["t.A"]
        assert found(slices=[2]) == ["t.B"]
        assert found(streams=["b.Y-1", "b.Y"]) == ["t.B"]
        _, last = [row.position for row in self.log(store)]
        assert found(positions=[last, last + 1]) == ["t.B"]
        assert found(positions=[]) == []
        assert found(occurred_since=later) == ["t.B"]
        assert found(occurred_before=later) == ["t.A"]
        assert found(since=datetime(2000, 1, 1, tzinfo=UTC)) == ["t.A", "t.B"]
        assert found(before=datetime(2000, 1, 1, tzinfo=UTC)) == []

    def test_tail_hands_out_everything_once_and_in_order(self, store: EventStoreDriver) -> None:
        self.append(store, "s-1", 3)
        tail = store.tail(after=0)
        got = [row.position for row in tail.read(limit=2)]
        self.append(store, "s-2", 2)
        while rows := tail.read(limit=2):
            got.extend(row.position for row in rows)
        assert got == [row.position for row in self.log(store)]
        assert tail.mark == got[-1] == store.settled_head()

    def test_rolled_back_append_leaves_nothing(self, store: EventStoreDriver) -> None:
        self.append(store, "s-1")
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=store.using):
            self.append(store, "s-1", 2)
            raise ZeroDivisionError
        assert self.append(store, "s-1", 1, 1) == [2]
        assert [row.version for row in self.log(store)] == [1, 2]

    def test_payload_of_ten_megabytes_goes_round(self, store: EventStoreDriver) -> None:
        encode = msgspec.json.encode if store.supports_json else msgspec.msgpack.encode
        large = self.row(store)._replace(payload=encode("x" * 10_000_000))
        store.append([RowsOfStream("s-1", ANY, [large])])
        (row,) = store.read_stream("s-1")
        assert len(row.payload) > 10_000_000
