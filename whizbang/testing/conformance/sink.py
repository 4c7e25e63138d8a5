"""What every sink does.

class TestMySink(SinkContract):
    @pytest.fixture
    def sink(self):
        return MySink("mine", {"prefix": "test-"})

    @pytest.fixture
    def unreachable(self):
        return MySink("mine", {"url": "http://ada:secret@127.0.0.1:1"})
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import msgspec
import pytest

from whizbang.drivers.sinks.base import (
    Collection,
    Document,
    DocumentRefused,
    GenerationGone,
    Sink,
)
from whizbang.exceptions import SinkUnavailable, WhizbangError

_ODD_KEYS = ["ä/ö", 'a "b"', "{c}", "d:e", "*", "../f", " ", "k" * 512, "x\ny"]


def document(key: str, position: int = 1, **body: object) -> Document:
    return Document(key=key, position=position, body=msgspec.json.encode(body))


class SinkContract:
    """Compare before writing, tombstones, generations, bulk."""

    @pytest.fixture
    def sink(self) -> Sink:
        raise AssertionError("Override the fixture `sink` with the driver to test.")

    @pytest.fixture
    def unreachable(self) -> Sink:
        """The same driver with an address where nobody answers, and the password `secret` in it."""
        raise AssertionError("Override the fixture `unreachable`.")

    @pytest.fixture
    def collection(self, sink: Sink) -> Iterator[Collection]:
        made = Collection(name=f"contract-{uuid4().hex[:12]}", mapping={"n": {"type": "integer"}})
        yield made
        sink.drop(made)
        sink.close()

    @pytest.fixture
    def live(self, sink: Sink, collection: Collection) -> str:
        return sink.open(collection, "first")

    def stored(self, sink: Sink, collection: Collection, key: str) -> Document | None:
        return sink.read(collection, [key]).get(key)

    def test_what_is_read_is_what_was_written(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        body = b'{"text":"\xc3\xa4","none":null,"list":[1,{"a":1.5}],"empty":{},"n":7}'
        written = Document(key="1", position=2**45, body=body, applied={"s.a-1": 7, "": 9})
        assert sink.write(collection, live, [written]) == set()
        read = self.stored(sink, collection, "1")
        assert read is not None and read.body is not None and read.token is not None
        assert msgspec.json.decode(read.body) == msgspec.json.decode(body)
        assert (read.key, read.position, read.applied) == ("1", 2**45, {"s.a-1": 7, "": 9})
        assert sink.read(collection, ["1", "2"], generation=live) == {"1": read}

    def test_document_is_replaced_by_who_has_read_it(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        sink.write(collection, live, [document("1", n=1, old=True)])
        read = self.stored(sink, collection, "1")
        assert read is not None
        second = replace(read, position=5, body=b'{"n":2}')
        assert sink.write(collection, live, [second]) == set()
        read = self.stored(sink, collection, "1")
        assert read is not None and read.body is not None
        assert (read.position, msgspec.json.decode(read.body)) == (5, {"n": 2})

    def test_repeated_write_stores_nothing(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        first = document("1", n=1)
        assert sink.write(collection, live, [first]) == set()
        before = self.stored(sink, collection, "1")
        assert sink.write(collection, live, [first]) == {"1"}
        assert self.stored(sink, collection, "1") == before

    def test_late_write_of_a_stale_worker_is_a_conflict(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        sink.write(collection, live, [document("1", n=1), document("2", n=1)])
        stale = sink.read(collection, ["1", "2"])
        sink.write(collection, live, [replace(stale["1"], position=9, body=b'{"n":9}')])
        late = [replace(d, position=3, body=b'{"n":3}') for d in stale.values()]
        assert sink.write(collection, live, late) == {"1"}
        read = sink.read(collection, ["1", "2"])
        assert {key: d.position for key, d in read.items()} == {"1": 9, "2": 3}

    def test_tombstone_keeps_a_late_write_from_bringing_a_document_back(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        sink.write(collection, live, [document("1", n=1)])
        stale = self.stored(sink, collection, "1")
        assert stale is not None
        assert sink.write(collection, live, [replace(stale, position=5, body=None)]) == set()
        assert sink.write(collection, live, [replace(stale, position=3)]) == {"1"}
        assert sink.write(collection, live, [replace(stale, token=None)]) == {"1"}
        tombstone = self.stored(sink, collection, "1")
        assert tombstone is not None
        assert (tombstone.body, tombstone.position) == (None, 5)

    def test_document_comes_back_by_who_has_read_the_tombstone(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        sink.write(collection, live, [Document(key="1", position=2, body=None)])
        tombstone = self.stored(sink, collection, "1")
        assert tombstone is not None and tombstone.body is None
        assert not sink.write(collection, live, [replace(tombstone, position=3, body=b'{"n":3}')])
        read = self.stored(sink, collection, "1")
        assert read is not None and read.body is not None
        assert msgspec.json.decode(read.body) == {"n": 3}

    def test_writers_at_the_same_time_lose_nothing(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        def add(number: int) -> None:
            while True:
                read = self.stored(sink, collection, "1")
                count = 0 if read is None else msgspec.json.decode(read.body or b"")["n"]
                token = None if read is None else read.token
                new = Document(key="1", position=1, body=b'{"n":%d}' % (count + 1), token=token)
                if not sink.write(collection, live, [new]):
                    return

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(add, range(20)))
        read = self.stored(sink, collection, "1")
        assert read is not None and msgspec.json.decode(read.body or b"") == {"n": 20}

    def test_collection_that_nobody_has_made_is_empty(
        self, sink: Sink, collection: Collection
    ) -> None:
        assert sink.live(collection) is None
        assert sink.read(collection, ["1"]) == {}
        assert sink.open(collection, "a-1") == sink.open(collection, "a-2") == "a-1"
        assert sink.live(collection) == "a-1"

    def test_readers_see_a_new_generation_once_it_is_published(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        sink.write(collection, live, [document("1", n=1), document("2", n=1)])
        fresh = "fresh"
        sink.create(collection, fresh)
        sink.write(collection, fresh, [document("1", 4, n=4)])
        assert sink.live(collection) == live
        assert set(sink.read(collection, ["1", "2"])) == {"1", "2"}
        sink.publish(collection, fresh)
        assert sink.live(collection) == fresh
        (read,) = sink.read(collection, ["1", "2"]).values()
        assert (read.key, read.position) == ("1", 4)

    def test_replaced_generation_is_gone(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        sink.write(collection, live, [document("1", n=1)])
        fresh = "fresh"
        sink.create(collection, fresh)
        sink.publish(collection, fresh)
        with pytest.raises(GenerationGone):
            sink.write(collection, live, [document("2", n=1)])
        with pytest.raises(GenerationGone):
            sink.read(collection, ["1"], generation=live)
        with pytest.raises(GenerationGone):
            sink.publish(collection, live)
        assert sink.read(collection, ["1", "2"]) == {}

    def test_abandoned_generation_goes_with_the_next_one(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        abandoned = "abandoned"
        sink.create(collection, abandoned)
        sink.write(collection, abandoned, [document("1", n=1)])
        fresh = "fresh"
        sink.create(collection, fresh)
        with pytest.raises(GenerationGone):
            sink.write(collection, abandoned, [document("2", n=1)])
        sink.publish(collection, fresh)
        assert sink.live(collection) == fresh

    def test_dropped_collection_begins_anew(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        sink.write(collection, live, [document("1", n=1)])
        sink.drop(collection)
        assert sink.live(collection) is None
        sink.open(collection, "again")
        assert sink.read(collection, ["1"]) == {}

    def test_more_documents_than_fit_one_round_trip(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        keys = [str(number) for number in range(2 * sink.most_documents + 1)]
        assert (
            sink.write(collection, live, [document(k, int(k) + 1, n=int(k)) for k in keys]) == set()
        )
        read = sink.read(collection, keys)
        assert {key: d.position for key, d in read.items()} == {key: int(key) + 1 for key in keys}

    @pytest.mark.parametrize("key", _ODD_KEYS)
    def test_keys_are_any_text(
        self, sink: Sink, collection: Collection, live: str, key: str
    ) -> None:
        assert sink.write(collection, live, [document(key, n=1)]) == set()
        assert set(sink.read(collection, [key, "other"])) == {key}

    def test_document_that_is_too_large_is_refused_by_its_key(
        self, sink: Sink, collection: Collection, live: str
    ) -> None:
        sink.options["max_document_bytes"] = 1000
        with pytest.raises(DocumentRefused, match="max_document_bytes") as caught:
            sink.write(collection, live, [document("big", t="x" * 1000), document("1", n=1)])
        assert set(caught.value.reasons) == {"big"}
        assert set(sink.read(collection, ["big", "1"])) == {"1"}

    def test_unreachable_product_is_unavailable_and_its_password_stays_secret(
        self, unreachable: Sink
    ) -> None:
        if not unreachable.is_remote:
            pytest.skip("there is no product to be reached")
        collection = Collection(name="contract-nowhere")
        for call in (
            unreachable.check,
            lambda: unreachable.live(collection),
            lambda: unreachable.open(collection, "x"),
            lambda: unreachable.create(collection, "x"),
            lambda: unreachable.publish(collection, "x"),
            lambda: unreachable.read(collection, ["1"], generation="x"),
            lambda: unreachable.write(collection, "x", [document("1")]),
        ):
            with pytest.raises(SinkUnavailable) as caught:
                call()
            assert "secret" not in str(caught.value)
            assert caught.value.__suppress_context__
        unreachable.close()

    def test_unknown_option_is_refused(self, sink: Sink) -> None:
        with pytest.raises(WhizbangError, match="timeout_second'"):
            type(sink)("x", {"timeout_second": 1})
