"""One service among others, with the broker that is the database: what it sends, and what it makes of what comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from django.db import connection
from django.db.models import F
from pytest_django import Settings

import whizbang
from tests.shop.messages import CallElsewhere, HappenedElsewhere, OpenOrder, OrderNoted
from whizbang import CommandFailed, Context, WhizbangError, subscribes
from whizbang.drivers.brokers.base import BrokerMessage, Kind, Published, Topology
from whizbang.drivers.brokers.cloudevents import from_structured, to_structured
from whizbang.drivers.brokers.in_process import InProcessBroker
from whizbang.messages.metadata import WireMetadata
from whizbang.messaging import topic_order
from whizbang.models import (
    DeadLetter,
    InboxMessage,
    OutboxMessage,
    Partition,
    QueuedMessage,
    ReceivedTopic,
    StoredEvent,
)
from whizbang.operations.dead_letters import discard_dead_letter, retry_dead_letter
from whizbang.operations.letter_edits import edit_dead_letter
from whizbang.operations.partitions import merge_partitions, split_partition
from whizbang.store.slices import slice_of

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
NIL = UUID(int=0)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _here(settings: Settings) -> None:
    settings.WHIZBANG = {
        "SERVICE": "here",
        "OWNS": ["shop"],
        "SERVICES": {"there": {"OWNS": ["elsewhere"], "LISTENS_TO": ["shop"]}},
    }


@pytest.fixture
def there(_here: None) -> InProcessBroker:
    """The broker as the other service uses it."""
    made = InProcessBroker(using=connection.alias)
    made.declare(
        Topology(
            service="there", owns=["elsewhere"], listens_to=["shop"], peers={"here": ["elsewhere"]}
        )
    )
    return made


def metadata(service: str = "there", **known: Any) -> WireMetadata:
    id = known.pop("message_id", None) or uuid4()
    return WireMetadata(message_id=id, correlation_id=id, service=service, **known)


def command(payload: dict[str, Any], type: str = "shop.OpenOrder", **known: Any) -> BrokerMessage:
    meta = metadata()
    return BrokerMessage(
        kind=Kind.COMMAND,
        destination="here",
        message_id=meta.message_id,
        type=type,
        payload=msgspec.json.encode(payload),
        metadata=meta,
        occurred_at=NOON,
        **known,
    )


def event(version: int, *, position: int, previous: int | None, **known: Any) -> BrokerMessage:
    meta = metadata(known.pop("service", "there"))
    values: dict[str, Any] = {
        "kind": Kind.EVENT,
        "destination": "elsewhere",
        "type": "elsewhere.HappenedElsewhere",
        "payload": msgspec.json.encode({"text": f"v{version}"}),
        "stream": "elsewhere.Thing-1",
    }
    return BrokerMessage(
        **{**values, **known},
        message_id=meta.message_id,
        metadata=meta,
        occurred_at=NOON,
        version=version,
        position=position,
        previous=previous,
    )


def reply_to(asked: UUID, content: dict[str, Any]) -> BrokerMessage:
    meta = metadata(causation_id=asked)
    return BrokerMessage(
        kind=Kind.REPLY,
        destination="here",
        message_id=meta.message_id,
        type="elsewhere.CallElsewhere",
        payload=msgspec.json.encode(content),
        metadata=meta,
        occurred_at=NOON,
    )


def without_question() -> BrokerMessage:
    sent = reply_to(NIL, {"status": "handled"})
    return msgspec.structs.replace(sent, metadata=metadata(message_id=sent.message_id))


def texts_of(stream: str = "elsewhere.Thing-1") -> list[tuple[int, str]]:
    rows = whizbang.event_store().read_stream(stream)
    return [(meta.version, event.text) for event, meta in rows]


class TestCommands:
    def test_one_of_another_service_is_handled_once_and_answered(
        self, there: InProcessBroker, drain: Drain
    ) -> None:
        sent = command({"order_id": "1"}, reply_to="there")
        there.publish([sent])
        there.publish([sent])
        drain()
        assert StoredEvent.objects.get().stream == "shop.Order-1"
        found = [d.message for d in there.receive(limit=9, timeout_seconds=0) if d.message]
        [reply] = [message for message in found if message.kind is Kind.REPLY]
        assert reply.metadata.causation_id == sent.message_id
        assert msgspec.json.decode(reply.payload) == {"status": "handled", "result": "1"}
        assert not DeadLetter.objects.exists()

    def test_one_that_fails_is_answered_with_its_error(
        self, there: InProcessBroker, drain: Drain
    ) -> None:
        whizbang.send(OpenOrder(order_id="1"))
        drain()
        for delivery in there.receive(limit=9, timeout_seconds=0):
            there.acknowledge([delivery])
        there.publish([command({"order_id": "1"}, reply_to="there")])
        drain()
        [delivery] = there.receive(limit=9, timeout_seconds=0)
        assert delivery.message is not None
        found = msgspec.json.decode(delivery.message.payload)
        assert found["status"] == "failed"
        assert "OrderOpenAlready" in found["error"]

    def test_nobody_asks_nobody_is_answered(self, there: InProcessBroker, drain: Drain) -> None:
        there.publish([command({"order_id": "1"})])
        drain()
        assert not OutboxMessage.objects.exists()

    def test_batched_ones_are_answered_too(
        self, there: InProcessBroker, drain: Drain, settings: Settings
    ) -> None:
        settings.WHIZBANG = {**settings.WHIZBANG, "MODES": {"shop": "batched"}}
        there.publish([command({"order_id": str(n)}, reply_to="there") for n in range(3)])
        drain()
        assert InboxMessage.objects.filter(mode="batched", status="handled").count() == 3
        assert OutboxMessage.objects.filter(kind="reply").count() == 3

    def test_what_is_sent_elsewhere_learns_of_the_answer(
        self, there: InProcessBroker, drain: Drain
    ) -> None:
        receipts = [whizbang.publish(CallElsewhere(text=text)) for text in ("good", "bad")]
        drain()
        sent = [d.message for d in there.receive(limit=9, timeout_seconds=0) if d.message]
        assert [m.reply_to for m in sent] == ["here", "here"]
        assert [r.refresh().status for r in receipts] == ["stored", "stored"]
        there.publish(
            [
                reply_to(sent[0].message_id, {"status": "handled", "result": "done"}),
                reply_to(sent[1].message_id, {"status": "failed", "error": "Refused: no."}),
            ]
        )
        drain()
        assert receipts[0].wait() == "done"
        with pytest.raises(CommandFailed, match="Refused: no"):
            receipts[1].wait()

    def test_a_batch_waits_for_the_answers(self, there: InProcessBroker, drain: Drain) -> None:
        batch = whizbang.publish_batch(CallElsewhere(text=str(n)) for n in range(2))
        drain()
        sent = [d.message for d in there.receive(limit=9, timeout_seconds=0) if d.message]
        assert batch._has_open([m.message_id for m in sent])
        there.publish([reply_to(m.message_id, {"status": "handled"}) for m in sent])
        drain()
        assert batch.wait() is batch

    def test_order_of_a_key_is_kept(self, there: InProcessBroker, drain: Drain) -> None:
        payloads = [{"order_id": "1", "text": str(n)} for n in range(20)]
        there.publish([command(p, type="shop.NoteOrder", ordering_key="k") for p in payloads])
        drain()
        texts = [r.event.text for r in whizbang.event_store().read_stream("shop.Order-1")]
        assert texts == [str(n) for n in range(20)]


class TestReplies:
    def test_one_that_comes_twice_changes_nothing(
        self, there: InProcessBroker, drain: Drain
    ) -> None:
        receipt = whizbang.publish(CallElsewhere(text="x"))
        answer = reply_to(receipt.id, {"status": "handled", "result": "1"})
        there.publish([answer, answer])
        drain()
        there.publish([answer])
        drain()
        assert receipt.wait() == "1"
        assert InboxMessage.objects.count() == 1


@pytest.fixture
def heard(there: InProcessBroker, isolated_registry: None) -> list[str]:
    """What a subscriber of this service has heard of the other one's events."""
    found: list[str] = []

    def hear(event: HappenedElsewhere, context: Context) -> None:
        found.append(event.text)

    hear.__module__ = "tests.shop.handlers"
    subscribes(HappenedElsewhere, backfill_from=whizbang.BEGINNING)(hear)
    return found


class TestEvents:
    def test_they_are_in_the_log_under_their_own_versions(
        self, there: InProcessBroker, heard: list[str], drain: Drain
    ) -> None:
        there.publish([event(1, position=10, previous=0), event(2, position=12, previous=10)])
        drain()
        assert texts_of() == [(1, "v1"), (2, "v2")]
        assert heard == ["v1", "v2"]
        meta = next(iter(whizbang.event_store().read_stream("elsewhere.Thing-1"))).meta
        assert (meta.service, meta.occurred_at) == ("there", NOON)
        assert ReceivedTopic.objects.get().position == 12

    def test_one_that_comes_twice_is_there_once(
        self, there: InProcessBroker, heard: list[str], drain: Drain
    ) -> None:
        twice = [event(1, position=10, previous=0), event(2, position=12, previous=10)]
        there.publish([*twice, *twice])
        drain()
        there.publish(twice)
        drain()
        assert heard == ["v1", "v2"]
        assert not QueuedMessage.objects.filter(queue="whizbang.here").exists()

    def test_one_that_comes_before_its_predecessor_waits_for_it(
        self, there: InProcessBroker, heard: list[str], drain: Drain
    ) -> None:
        """As after a broker that confirmed the end of a batch and not its middle."""
        events = [event(n, position=10 * n, previous=10 * (n - 1)) for n in range(1, 5)]
        there.publish([events[0], events[3], *events[1:]])
        drain()
        assert texts_of() == [(n, f"v{n}") for n in range(1, 5)]
        assert ReceivedTopic.objects.get().gaps == 0

    def test_order_between_streams_is_kept_too(
        self, there: InProcessBroker, heard: list[str], drain: Drain
    ) -> None:
        places = [("z", 1), ("a", 1), ("z", 2), ("m", 4), ("a", 2), ("m", 7), ("m", 8)]
        there.publish(
            [
                event(version, position=n, previous=n - 1, stream=f"elsewhere.Thing-{name}")
                for n, (name, version) in enumerate(places, start=1)
            ]
        )
        drain()
        rows = StoredEvent.objects.order_by("position").values_list("stream", "version")
        assert list(rows) == [(f"elsewhere.Thing-{name}", version) for name, version in places]
        assert heard == [f"v{version}" for _, version in places]

    def test_what_never_comes_is_noticed_and_not_waited_for(
        self,
        there: InProcessBroker,
        heard: list[str],
        drain: Drain,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(topic_order, "HOLD_SECONDS", 0.0)
        there.publish([event(1, position=10, previous=0), event(3, position=30, previous=20)])
        drain()
        assert texts_of() == [(1, "v1"), (3, "v3")]
        topic = ReceivedTopic.objects.get()
        assert (topic.gaps, topic.position) == (1, 30)
        assert topic.last_gap.startswith("after 10, before 30")

    def test_lane_waits_for_its_own_events_only(
        self, there: InProcessBroker, heard: list[str], drain: Drain
    ) -> None:
        first, second, third = (
            event(n, position=10 * n, previous=10 * (n - 1), lane="0-512") for n in range(1, 4)
        )
        other = event(1, position=25, previous=0, lane="512-1024", stream="elsewhere.Thing-2")
        there.publish([first, third, other])
        drain()
        assert (texts_of(), texts_of("elsewhere.Thing-2")) == ([(1, "v1")], [(1, "v1")])
        there.publish([second])
        drain()
        assert texts_of() == [(n, f"v{n}") for n in range(1, 4)]
        topics = ReceivedTopic.objects.order_by("lane").values_list("lane", "position", "gaps")
        assert list(topics) == [("0-512", 30, 0), ("512-1024", 25, 0)]

    def test_what_was_refused_between_two_is_not_waited_for(
        self, there: InProcessBroker, heard: list[str], drain: Drain
    ) -> None:
        """They were sent again without it, and the first copies named it."""
        sent = [event(1, position=10, previous=0), event(3, position=30, previous=20)]
        there.publish([*sent, event(3, position=30, previous=10)])
        drain()
        assert texts_of() == [(1, "v1"), (3, "v3")]
        assert ReceivedTopic.objects.get().gaps == 0

    def test_types_that_nothing_here_knows_are_left_out(
        self, there: InProcessBroker, heard: list[str], drain: Drain
    ) -> None:
        strange = event(1, position=10, previous=0, type="elsewhere.Strange")
        there.publish([strange, event(2, position=11, previous=10)])
        drain()
        assert texts_of() == [(2, "v2")]
        assert not DeadLetter.objects.exists()

    def test_it_is_not_published_again(
        self, there: InProcessBroker, heard: list[str], drain: Drain
    ) -> None:
        there.publish([event(1, position=10, previous=0)])
        drain()
        assert not there.receive(limit=9, timeout_seconds=0)

    def test_own_ones_go_out_in_order_each_with_its_predecessor(
        self, there: InProcessBroker, drain: Drain
    ) -> None:
        store = whizbang.event_store()
        for text in ("a", "b"):
            store.append("shop.Order-1", [OrderNoted(order_id="1", text=text)])
            drain()
        found = [d.message for d in there.receive(limit=9, timeout_seconds=0) if d.message]
        positions = list(
            StoredEvent.objects.order_by("position").values_list("position", flat=True)
        )
        assert [(m.stream, m.version, m.position) for m in found] == [
            ("shop.Order-1", n, p) for n, p in enumerate(positions, start=1)
        ]
        assert [m.previous for m in found] == [0, positions[0]]
        assert msgspec.json.decode(found[1].payload) == {"order_id": "1", "text": "b"}


class TestTopicInPartitions:
    TOPIC = "whizbang.topic.shop"

    @pytest.fixture
    def sent(self, there: InProcessBroker, drain: Drain) -> Callable[[], list[BrokerMessage]]:
        """What has been published since it was called last."""

        def sent() -> list[BrokerMessage]:
            drain()
            deliveries = there.receive(limit=99, timeout_seconds=0)
            there.acknowledge(deliveries)
            return [d.message for d in deliveries if d.message]

        return sent

    def note_in_each_half(self) -> None:
        store = whizbang.event_store()
        names = [f"shop.Order-{number}" for number in range(20)]
        halves = {slice_of(name) // 512: name for name in names}
        for half in (0, 1):
            store.append(halves[half], [OrderNoted(order_id="1", text="a")])

    def test_each_partition_is_a_lane_of_its_own(
        self, sent: Callable[[], list[BrokerMessage]]
    ) -> None:
        self.note_in_each_half()
        whole = sent()
        split_partition(self.TOPIC)
        self.note_in_each_half()
        self.note_in_each_half()
        found = sent()
        merge_partitions(self.TOPIC)
        self.note_in_each_half()
        after = sent()
        assert {(m.lane, m.previous) for m in whole} == {("", 0), ("", whole[0].position)}
        for lane in ("0-512", "512-1024"):
            first, second = (m for m in found if m.lane == lane)
            assert (first.previous, second.previous) == (0, first.position)
        assert [m.lane for m in after] == ["", ""]
        assert after[0].previous == whole[1].position

    def test_partitions_apart_become_one_where_the_one_behind_stands(
        self, sent: Callable[[], list[BrokerMessage]]
    ) -> None:
        self.note_in_each_half()
        sent()
        split_partition(self.TOPIC)
        self.note_in_each_half()
        behind = {row.first_slice: row.position for row in rows_of(self.TOPIC)}
        found = sent()
        Partition.objects.filter(subscription=self.TOPIC, first_slice=512).update(
            position=behind[512], epoch=F("epoch") + 1
        )
        merge_partitions(self.TOPIC)
        assert {m.message_id for m in sent()} == {m.message_id for m in found}


def rows_of(subscription: str) -> list[Partition]:
    return list(Partition.objects.filter(subscription=subscription))


class TestWhatCannotBeStored:
    @pytest.mark.parametrize(
        ("sent", "reason"),
        [
            (command({}, type="shop.Unheard"), "UnknownMessageType"),
            (command({}, type="shop.OrderOpened"), "UnknownMessageType"),
            (command({"text": "x"}, type="elsewhere.CallElsewhere"), "WrongOwner"),
            (event(1, position=1, previous=0, destination="shop"), "WrongOwner"),
            (event(1, position=1, previous=0, service="stranger"), "WrongOwner"),
            (event(0, position=1, previous=0), "Malformed"),
            (event(1, position=1, previous=0, stream=""), "Malformed"),
            (event(1, position=1, previous=0, stream="x" * 300), "ValueError"),
            (
                without_question(),
                "Malformed",
            ),
            (reply_to(NIL, {"status": "strange"}), "Malformed"),
        ],
    )
    def test_is_a_dead_letter_and_the_queue_goes_on(
        self, there: InProcessBroker, drain: Drain, sent: BrokerMessage, reason: str
    ) -> None:
        QueuedMessage.objects.create(queue="whizbang.here", body=to_structured(sent))
        there.publish([command({"order_id": "1"})])
        drain()
        letter = DeadLetter.objects.get()
        assert letter.reason == reason
        assert from_structured(bytes(letter.document)) == sent
        assert StoredEvent.objects.get().stream == "shop.Order-1"

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"\xff\xfe", b"[]", b'{"specversion":"0.3","id":"1"}', b"null"]
    )
    def test_malformed_ones_are_kept_as_they_came(
        self, there: InProcessBroker, drain: Drain, body: bytes
    ) -> None:
        QueuedMessage.objects.create(queue="whizbang.here", body=body)
        there.publish([command({"order_id": "1"})])
        drain()
        letter = DeadLetter.objects.get()
        assert letter.reason == "Malformed"
        assert bytes(letter.document) == body
        assert StoredEvent.objects.get().stream == "shop.Order-1"

    def test_payload_that_is_none_of_the_type_is_a_dead_letter_of_its_handler(
        self, there: InProcessBroker, drain: Drain
    ) -> None:
        there.publish([command({"strange": 1})])
        drain()
        assert DeadLetter.objects.get().reason == "DecodeError"


def refuse(self: Any, messages: Any) -> Published:
    """A broker that takes nothing."""
    reasons = {m.message_id: "It is too large." for m in messages}
    return Published(confirmed=frozenset(), refused=reasons)


class TestRedriving:
    def test_a_command_goes_to_the_inbox_once_its_code_is_there(
        self, there: InProcessBroker, drain: Drain
    ) -> None:
        there.publish([command({"order_id": "1"}, type="shop.Unheard")])
        drain()
        letter = DeadLetter.objects.get()
        with pytest.raises(WhizbangError, match="deploy the code that declares it"):
            retry_dead_letter(letter.pk)
        known = from_structured(bytes(letter.document))
        DeadLetter.objects.update(
            document=to_structured(msgspec.structs.replace(known, type="shop.OpenOrder"))
        )
        assert retry_dead_letter(letter.pk).where == "inbox"
        drain()
        assert StoredEvent.objects.filter(stream="shop.Order-1").count() == 1
        assert not DeadLetter.objects.exists()

    def test_an_event_takes_its_place_behind_later_ones(
        self, there: InProcessBroker, heard: list[str], drain: Drain
    ) -> None:
        strange = event(1, position=10, previous=0, service="stranger")
        there.publish([strange, event(2, position=11, previous=10)])
        drain()
        letter = DeadLetter.objects.get()
        meant = msgspec.structs.replace(strange, metadata=metadata())
        DeadLetter.objects.update(document=to_structured(meant))
        assert retry_dead_letter(letter.pk).where == "log"
        drain()
        assert texts_of() == [(1, "v1"), (2, "v2")]
        assert heard == ["v2", "v1"]

    def test_an_answer_reaches_its_receipt_and_not_the_queue(
        self, there: InProcessBroker, drain: Drain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        receipt = whizbang.publish(CallElsewhere(text="x"))

        def fail(messages: Any, *, using: str) -> None:
            if messages:
                raise ValueError("It cannot be kept.")

        with monkeypatch.context() as broken:
            broken.setattr("whizbang.messaging.receiving.store_replies", fail)
            there.publish([reply_to(receipt.id, {"status": "handled", "result": "done"})])
            drain()
        retry_dead_letter(DeadLetter.objects.get().pk)
        assert receipt.wait() == "done"
        assert InboxMessage.objects.count() == 1

    def test_what_was_malformed_stays_a_dead_letter(
        self, there: InProcessBroker, drain: Drain
    ) -> None:
        QueuedMessage.objects.create(queue="whizbang.here", body=b"{")
        drain()
        with pytest.raises(WhizbangError, match="let its sender send it anew"):
            retry_dead_letter(DeadLetter.objects.get().pk)
        assert DeadLetter.objects.exists()

    def test_an_edited_command_is_received_in_place_of_the_refused_one(
        self, there: InProcessBroker, drain: Drain, settings: Settings
    ) -> None:
        usual = settings.WHIZBANG
        settings.WHIZBANG = {**usual, "MAX_PAYLOAD_BYTES": 600}
        there.publish([command({"order_id": "1", "customer_id": "c" * 600})])
        drain()
        letter = DeadLetter.objects.get()
        assert letter.reason == "TooLarge"
        edit_dead_letter(letter.pk, {"order_id": "1", "customer_id": "c"})
        settings.WHIZBANG = usual
        drain()
        assert StoredEvent.objects.filter(stream="shop.Order-1").count() == 1
        assert InboxMessage.objects.get().message_id == letter.message_id
        assert not DeadLetter.objects.exists()

    def test_discarding_a_refused_command_leaves_one_of_its_id_alone(
        self, there: InProcessBroker, drain: Drain
    ) -> None:
        strange = command({"order_id": "1"}, type="shop.Unheard")
        there.publish([strange])
        drain()
        letter = DeadLetter.objects.get()
        InboxMessage.objects.create(
            message_id=letter.message_id,
            service="here",
            type="shop.OpenOrder",
            status="failed",
            ordering_key="k",
            occurred_at=NOON,
            available_at=NOON,
            payload_hash=b"",
        )
        discard_dead_letter(letter.pk, "nobody knows it")
        assert InboxMessage.objects.get().ordering_key == "k"

    def test_an_edited_command_is_sent_in_place_of_what_the_broker_refused(
        self, there: InProcessBroker, drain: Drain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as strict:
            strict.setattr(InProcessBroker, "publish", refuse)
            whizbang.publish(CallElsewhere(text="far too long"))
            drain()
        edit_dead_letter(DeadLetter.objects.get().pk, {"text": "short"})
        drain()
        [delivery] = there.receive(limit=9, timeout_seconds=0)
        assert delivery.message is not None
        assert delivery.message.payload == b'{"text":"short"}'

    def test_what_the_broker_refused_is_sent_again(
        self, there: InProcessBroker, drain: Drain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as strict:
            strict.setattr(InProcessBroker, "publish", refuse)
            receipt = whizbang.publish(CallElsewhere(text="x"))
            drain()
        with pytest.raises(CommandFailed, match="too large"):
            receipt.wait()
        assert retry_dead_letter(DeadLetter.objects.get().pk).where == "outbox"
        drain()
        [delivery] = there.receive(limit=9, timeout_seconds=0)
        assert delivery.message is not None
        assert delivery.message.message_id == receipt.id


def test_a_monolith_has_no_topics(settings: Settings, drain: Drain) -> None:
    settings.WHIZBANG = {}
    whizbang.send(OpenOrder(order_id="1"))
    drain()
    assert not QueuedMessage.objects.exists()
