"""External projections: each event once, in order, whatever the sink and the worker do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings as django_settings
from django.core import checks
from django.test import override_settings

import whizbang
from tests.collected import Collected, ids_of, linked_to
from tests.projections.documents import SINK, declare, fold, held, note
from tests.shop.messages import EveryKind, OrderNoted, OrderOpened
from whizbang import ExternalProjection, on
from whizbang.drivers.sinks import sink_of
from whizbang.models import ParkedStream, Partition, Rebuild, StoreHead, Subscription
from whizbang.operations.parked import retry_parked, skip_parked
from whizbang.operations.rebuild import request_rebuild
from whizbang.operations.status import subscription_statuses
from whizbang.projections.declaration import instances
from whizbang.subscriptions.engine import Engine

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
Documents = type[ExternalProjection]
MEMORY = {"BACKEND": "tests.projections.failing_sink.FailingSink"}


@pytest.fixture(params=["memory", "redis", "elasticsearch"])
def sink_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The tests below, with each product."""
    if request.param == "memory":
        return MEMORY
    prefix = f"whizbang-{django_settings.RUN_ID}-"
    if request.param == "redis":
        url, backend = request.getfixturevalue("redis_url"), "redis.RedisSink"
    else:
        url = request.getfixturevalue("elasticsearch_url")
        backend = "elasticsearch.ElasticsearchSink"
    return {
        "BACKEND": f"whizbang.drivers.sinks.{backend}",
        "OPTIONS": {"url": url, "prefix": prefix},
    }


@pytest.fixture
def documents(sink_settings: dict[str, Any], isolated_registry: None) -> Iterator[Documents]:
    with override_settings(WHIZBANG={"SINKS": {SINK: sink_settings}}):
        declared = declare()
        yield declared
        declared.open_sink().drop(declared.stored_as())


def name_of(documents: Documents) -> str:
    return documents().name


def failing() -> Any:
    return sink_of(SINK)


def test_documents_follow_the_log(drain: Drain, documents: Documents) -> None:
    note("1", "a", "b")
    note("2", "a")
    drain()
    note("1", "c")
    drain()
    assert held(documents) == fold()
    assert documents.get("1") == {"key": "1", "count": 3, "positions": fold()["1"]}
    assert documents.get("3") is None
    assert (
        Partition.objects.get(subscription=name_of(documents)).position
        == whizbang.event_store().head()
    )


@pytest.mark.parametrize("sink_settings", ["memory"], indirect=True)
def test_writing_is_told_to_telemetry_with_the_events_that_are_written(
    drain: Drain, documents: Documents, collected: Collected
) -> None:
    note("1", "a")
    note("2", "b")
    drain()
    process = collected.named(f"process {name_of(documents)}")
    appends = {ids_of(span) for span in collected.spans if span.name.startswith("append")}
    assert linked_to(process) == appends
    assert len(appends) == 2


def test_removed_document_is_gone_and_may_come_back(drain: Drain, documents: Documents) -> None:
    note("1", "a", "delete")
    drain()
    assert held(documents) == {}
    note("1", "b")
    drain()
    assert held(documents)["1"] == fold()["1"][2:]


def test_events_are_not_applied_again_when_the_checkpoint_was_lost(
    drain: Drain, documents: Documents
) -> None:
    note("1", "a", "b")
    note("2", "a")
    drain()
    Partition.objects.filter(subscription=name_of(documents)).update(position=0)
    note("2", "b")
    drain()
    assert held(documents) == fold()


def test_poison_parks_its_stream_and_a_retry_catches_up(drain: Drain, documents: Documents) -> None:
    note("2", "a")
    drain()
    note("1", "spoiled", "b")
    note("2", "b")
    drain()
    parked = ParkedStream.objects.get()
    assert (parked.stream, parked.version) == ("shop.Order-1", 1)
    assert held(documents) == {"2": fold()["2"], "all": fold()["2"]}
    note("1", "c")
    note("2", "c")
    drain()

    documents.cured = True  # type: ignore[attr-defined]
    retry_parked(name_of(documents))
    drain()
    assert not ParkedStream.objects.exists()
    note("1", "d")
    drain()
    # Late events come late in the document that others went on with, and each comes once.
    assert held(documents)["1"] == fold()["1"]
    assert held(documents)["2"] == fold()["2"]
    assert sorted(held(documents)["all"]) == fold()["all"]


def test_event_that_fails_half_way_leaves_no_trace(drain: Drain, documents: Documents) -> None:
    note("1", "a", "spoiled", "b")
    drain()
    assert held(documents) == {"1": fold()["1"][:1], "all": fold()["1"][:1]}


def test_retry_that_was_cut_off_applies_nothing_twice(drain: Drain, documents: Documents) -> None:
    note("2", "a")
    drain()
    note("1", "spoiled", "b")
    note("2", "b")
    drain()
    documents.cured = True  # type: ignore[attr-defined]
    row = ParkedStream.objects.values().get()
    retry_parked(name_of(documents))
    drain()
    # As if the worker had died between the sink's acknowledgement and the end of its transaction.
    ParkedStream.objects.create(**{**row, "is_retry_requested": False})
    note("2", "c")
    drain()
    retry_parked(name_of(documents))
    drain()
    assert held(documents)["1"] == fold()["1"]
    assert sorted(held(documents)["all"]) == fold()["all"]


def test_retry_without_a_fix_stays_parked_and_skip_leaves_the_event_out(
    drain: Drain, documents: Documents
) -> None:
    note("2", "a")
    drain()
    note("1", "spoiled", "b")
    drain()
    retry_parked(name_of(documents))
    drain()
    assert ParkedStream.objects.get().attempts == 2
    skip_parked(name_of(documents), stream="shop.Order-1", reason="a typo")
    drain()
    assert held(documents)["1"] == fold()["1"][1:]


def test_rebuild_fills_a_new_generation(drain: Drain, documents: Documents) -> None:
    note("1", "a", "delete", "b")
    note("2", "a")
    drain()
    sink, collection = documents.open_sink(), documents.stored_as()
    before, expected = sink.live(collection), held(documents)
    damaged = sink.read(collection, ["1"])["1"]
    assert before is not None
    sink.write(collection, before, [_with_body(damaged, b'{"count":0,"positions":[]}')])
    request_rebuild(name_of(documents))
    drain()
    assert Rebuild.objects.get().status == "done", Rebuild.objects.get().error
    assert sink.live(collection) != before
    assert held(documents) == expected
    note("1", "c")
    drain()
    assert held(documents)["1"] == fold()["1"][2:]


def test_events_are_not_applied_again_after_a_rebuild_that_died_before_its_checkpoint(
    drain: Drain, documents: Documents
) -> None:
    note("1", "a")
    drain()
    position = Partition.objects.get(subscription=name_of(documents)).position
    note("1", "b")
    request_rebuild(name_of(documents))
    drain()
    Partition.objects.filter(subscription=name_of(documents)).update(position=position)
    note("2", "a")
    drain()
    assert held(documents) == fold()


def test_emptied_collection_is_told_and_not_filled_from_the_middle(
    drain: Drain, documents: Documents
) -> None:
    note("1", "a")
    drain()
    documents.open_sink().drop(documents.stored_as())
    note("1", "b")
    drain()
    assert "rebuild" in Subscription.objects.get(name=name_of(documents)).error
    assert held(documents) == {}
    request_rebuild(name_of(documents))
    drain()
    drain()
    assert held(documents) == fold()


def test_documents_of_another_store_are_left_alone(drain: Drain, documents: Documents) -> None:
    note("1", "a")
    drain()
    expected = held(documents)
    StoreHead.objects.update(store_id=uuid4())
    Subscription.objects.update(store_id=StoreHead.objects.get().store_id)
    note("1", "b")
    drain()
    assert "another store" in Subscription.objects.get(name=name_of(documents)).error
    assert held(documents) == expected


@pytest.mark.parametrize("sink_settings", ["elasticsearch"], indirect=True)
def test_document_that_the_index_refuses_parks_its_stream(
    drain: Drain, documents: Documents
) -> None:
    note("1", "a")
    note("2", "unstorable", "b")
    note("1", "b")
    drain()
    parked = ParkedStream.objects.get()
    assert (parked.stream, parked.version) == ("shop.Order-2", 1)
    assert "count" in parked.error
    expected = {"1": fold()["1"], "all": fold()["1"]}
    assert held(documents) == expected


@pytest.mark.parametrize("sink_settings", ["elasticsearch"], indirect=True)
def test_search_finds_documents_and_no_tombstones(drain: Drain, documents: Documents) -> None:
    note("1", "a", "a")
    note("2", "a", "delete")
    note("3", "a", "a")
    drain()
    sink: Any = documents.open_sink()
    index = sink.alias_of(documents.stored_as())
    sink.client.indices.refresh(index=index)
    hits = sink.client.search(index=index, query={"term": {"count": 2}})["hits"]["hits"]
    assert {hit["_id"] for hit in hits} == {"1", "3", "all"}
    every = sink.client.search(index=index, query={"match_all": {}})["hits"]["hits"]
    assert {hit["_id"] for hit in every} == {"1", "3", "all"}


@pytest.mark.parametrize("sink_settings", ["memory"], indirect=True)
class TestWhenTheSinkFails:
    def test_subscription_waits_with_its_error_and_the_others_go_on(
        self, drain: Drain, documents: Documents
    ) -> None:
        failing().is_down = True
        note("1", "a")
        for _ in range(3):
            drain()
        row = Subscription.objects.get(name=name_of(documents))
        assert "is down" in row.error
        assert Partition.objects.get(subscription=row.name).position == 0
        assert next(s for s in subscription_statuses() if s.name == row.name).error == row.error
        assert Partition.objects.get(subscription="shop.OrderSummaries").position > 0
        assert not ParkedStream.objects.exists()

        failing().is_down = False
        note("1", "b")
        drain()
        assert held(documents) == fold()
        assert Subscription.objects.get(name=name_of(documents)).error == ""

    def test_outage_is_logged_once(
        self, documents: Documents, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine = Engine(whizbang.event_store(), "worker")
        failing().is_down = True
        note("1", "a")
        engine.run_once()
        runner = next(r for r in engine.runners if r.definition.name == name_of(documents))
        for _ in range(5):
            engine.run_once()
            runner._outage._next_at = 0.0  # type: ignore[attr-defined]
        assert failing().tries >= 5
        told = [r for r in caplog.records if "tries again" in r.message]
        assert len(told) == 1
        engine.close()

    def test_refused_document_parks_its_stream_and_each_other_event_is_applied_once(
        self, drain: Drain, documents: Documents
    ) -> None:
        """Also where an event is about two documents, of which one is refused after the other was stored."""
        note("1", "a")
        note("2", "a", "b")
        note("1", "b")
        failing().refused = {"2"}
        drain()
        parked = ParkedStream.objects.get()
        assert (parked.stream, parked.version) == ("shop.Order-2", 1)
        assert "refused" in parked.error
        note("2", "c")
        note("1", "c")
        drain()
        assert held(documents)["1"] == fold()["1"]

        failing().refused = set()
        retry_parked(name_of(documents))
        drain()
        assert not ParkedStream.objects.exists()
        assert held(documents)["2"] == fold()["2"]
        assert sorted(held(documents)["all"]) == fold()["all"]

    def test_retry_finds_the_event_that_is_refused(
        self, drain: Drain, documents: Documents
    ) -> None:
        note("2", "a")
        drain()
        note("1", "spoiled", "b", "c")
        drain()
        documents.cured = True  # type: ignore[attr-defined]
        failing().refuses = lambda document: document.key == "1" and b'"count":3' in document.body
        retry_parked(name_of(documents))
        drain()
        parked = ParkedStream.objects.get()
        assert (parked.version, parked.attempts) == (3, 2)
        failing().refuses = lambda document: False
        retry_parked(name_of(documents))
        drain()
        assert held(documents) == fold() | {"all": held(documents)["all"]}
        assert sorted(held(documents)["all"]) == fold()["all"]

    def test_driver_that_fails_unexpectedly_loses_nothing_and_tells_no_password(
        self, drain: Drain, documents: Documents, caplog: pytest.LogCaptureFixture
    ) -> None:
        failing().error = ZeroDivisionError("a fault at http://ada:secret@there")
        note("1", "a")
        drain()
        told = Subscription.objects.get(name=name_of(documents)).error
        assert "a fault at http://***@there" in told
        assert "secret" not in caplog.text
        assert not ParkedStream.objects.exists()
        failing().error = None
        drain()
        assert held(documents) == fold()


@pytest.mark.parametrize("sink_settings", ["memory"], indirect=True)
def test_method_sees_plain_json_in_every_batch(drain: Drain, documents: Documents) -> None:
    seen: list[Any] = []

    class Kinds(ExternalProjection):
        sink = SINK

        @on(EveryKind, by="key")
        def happened(self, document: dict[str, Any], event: EveryKind, meta: Any) -> None:
            seen.append(dict(document))
            document.update(amount=event.amount, at=event.at, key=event.key)

    key = UUID(int=7)
    at = datetime(1997, 1, 2, tzinfo=UTC)
    plain = {"amount": "1.50", "at": "1997-01-02T00:00:00Z", "key": str(key)}
    for _ in range(2):
        events = [_every_kind(key, at)] * 2
        whizbang.event_store().append("shop.Kind-1", events)
        drain()
    assert seen == [{}, plain, plain, plain]
    assert Kinds.get(key) == plain


@pytest.mark.parametrize("sink_settings", ["memory"], indirect=True)
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sink": "nowhere"}, "nowhere"),
        ({"delivery": "inline"}, "transaction"),
        ({"collection": "Upper"}, "lower-case"),
        ({"mapping": {"whizbang_x": {}}}, "whizbang_"),
    ],
)
def test_wrong_declaration_is_a_check_error(
    documents: Documents, options: dict[str, Any], says: str
) -> None:
    def noted(self: Any, document: dict[str, Any], event: OrderNoted, meta: Any) -> None: ...

    body = {"sink": SINK, "noted": on(OrderNoted, by="order_id")(noted), "__module__": __name__}
    type("Wrong", (ExternalProjection,), {**body, **options})
    found = [m for m in checks.run_checks(tags=["whizbang"]) if m.id == "whizbang.E042"]
    assert len(found) == 1 and says in found[0].msg


@pytest.mark.parametrize("sink_settings", ["memory"], indirect=True)
def test_two_projections_of_one_collection_are_a_check_error(documents: Documents) -> None:
    class Others(ExternalProjection):
        sink = SINK
        collection = "notes"

        @on(OrderOpened, by="order_id")
        def opened(self, document: dict[str, Any], event: OrderOpened, meta: Any) -> None: ...

    assert "whizbang.E044" in {m.id for m in checks.run_checks(tags=["whizbang"])}


@pytest.mark.parametrize("sink_settings", ["memory"], indirect=True)
def test_changed_mapping_needs_a_rebuild(drain: Drain, documents: Documents) -> None:
    drain()
    documents.mapping = {"count": {"type": "long"}}
    projection = next(p for p in instances() if type(p) is documents)
    projection.__dict__.pop("own_fingerprint", None)
    status = next(s for s in subscription_statuses() if s.name == name_of(documents))
    assert status.needs_rebuild


@pytest.mark.parametrize("sink_settings", ["memory"], indirect=True)
@pytest.mark.parametrize("key", [None, "", True, 1.5, "k" * 513])
def test_key_that_is_none_is_refused(documents: Documents, key: Any) -> None:
    with pytest.raises(whizbang.WhizbangError, match="key"):
        documents.get(key)


def _with_body(document: Any, body: bytes) -> Any:
    from dataclasses import replace

    return replace(document, body=body)


def _every_kind(key: UUID, at: datetime) -> EveryKind:
    from tests.shop.messages import Color

    return EveryKind(
        amount=Decimal("1.50"), key=key, at=at, day=at.date(), color=Color.RED, lines=[]
    )
