"""What every broker does.

class TestMyBroker(BrokerContract):
    @pytest.fixture
    def make_broker(self, fresh_prefix):
        def make(service, **options):
            return MyBroker(using="default", options={"prefix": fresh_prefix, **options})
        return make

    @pytest.fixture
    def unreachable(self):
        return MyBroker(using="default", options={"url": "my://ada:secret@127.0.0.1:1"})

    @pytest.fixture
    def send_raw(self, fresh_prefix):
        return lambda service, body: ...  # put a body into the queue of the service, past the driver
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Protocol
from uuid import UUID, uuid4

import msgspec
import pytest

from whizbang.drivers.brokers.base import (
    Broker,
    BrokerMessage,
    BrokerUnavailable,
    Delivery,
    Kind,
    Topology,
)
from whizbang.exceptions import WhizbangError
from whizbang.messages.metadata import WireMetadata

SERVICES = ("shop", "billing", "shipping")  # all that the suite uses, for whoever cleans up
_PATIENCE_SECONDS = 60.0  # until something that must come is given up
_QUIET_SECONDS = 0.5  # for nothing to come
_AT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
_ODD_STREAMS = ["orders.order-ä/ö", 'a "b" {c}', "*.#.>", " ", "x\ny", "s" * 200, "%2E;DROP"]


class MakeBroker(Protocol):
    def __call__(self, service: str, **options: Any) -> Broker: ...


class Join(Protocol):
    """A broker of a service, with its queues declared, that is closed after the test."""

    def __call__(
        self,
        service: str,
        *,
        listens_to: Collection[str] = (),
        peers: Mapping[str, Collection[str]] = {},
        **options: Any,
    ) -> Broker: ...


def command(to: str, number: int = 0, **changes: Any) -> BrokerMessage:
    return _message(Kind.COMMAND, to, number, {"type": "billing.TakePayment", **changes})


def reply(to: str, number: int = 0, **changes: Any) -> BrokerMessage:
    return _message(Kind.REPLY, to, number, {"type": "whizbang.Reply", **changes})


def event(domain: str, position: int = 1, **changes: Any) -> BrokerMessage:
    own = {"type": f"{domain}.OrderPlaced", "stream": f"{domain}.order-{position % 7}"}
    numbers = {"version": position, "position": position, "previous": position - 1}
    return _message(Kind.EVENT, domain, position, {**own, **numbers, **changes})


def _message(kind: Kind, destination: str, number: int, changes: dict[str, Any]) -> BrokerMessage:
    message_id = uuid4()
    made = {
        "message_id": message_id,
        "payload": msgspec.json.encode({"number": number}),
        "metadata": WireMetadata(message_id=message_id, correlation_id=message_id, service="shop"),
        "occurred_at": _AT,
    }
    return BrokerMessage(kind=kind, destination=destination, **{**made, **changes})


def ids(messages: Sequence[BrokerMessage]) -> list[UUID]:
    return [message.message_id for message in messages]


def receive(broker: Broker, count: int, *, limit: int = 500) -> list[Delivery]:
    """At least `count` deliveries, none of them acknowledged; fewer after a minute."""
    found: list[Delivery] = []
    deadline = monotonic() + _PATIENCE_SECONDS
    while len(found) < count and monotonic() < deadline:
        found += broker.receive(limit=limit, timeout_seconds=1)
    return found


def take(broker: Broker, count: int, *, limit: int = 500) -> list[BrokerMessage]:
    """At least `count` messages, acknowledged as they come; fewer after a minute."""
    found: list[BrokerMessage] = []
    deadline = monotonic() + _PATIENCE_SECONDS
    while len(found) < count and monotonic() < deadline:
        deliveries = broker.receive(limit=limit, timeout_seconds=1)
        broker.acknowledge(deliveries)
        found += messages_of(deliveries)
    return found


def messages_of(deliveries: Sequence[Delivery]) -> list[BrokerMessage]:
    for delivery in deliveries:
        assert delivery.message is not None, delivery.problem
    return [delivery.message for delivery in deliveries if delivery.message is not None]


def is_silent(broker: Broker) -> bool:
    return broker.receive(limit=10, timeout_seconds=_QUIET_SECONDS) == []


def publish(broker: Broker, *messages: BrokerMessage) -> None:
    """All of them confirmed."""
    published = broker.publish(messages)
    assert published.refused == {}
    assert published.confirmed == set(ids(messages))


class BrokerContract:
    """Routing, order, at least once, and what is refused."""

    @pytest.fixture
    def make_broker(self) -> MakeBroker:
        """All brokers of a test share one prefix that nobody has used before."""
        raise AssertionError("Override the fixture `make_broker` with the driver to test.")

    @pytest.fixture
    def unreachable(self) -> Broker:
        """The driver with an address where nobody answers, and the password `secret` in it."""
        raise AssertionError("Override the fixture `unreachable`.")

    @pytest.fixture
    def send_raw(self) -> Callable[[str, bytes], None]:
        """Puts a body that is no message where the commands of a service go."""
        raise AssertionError("Override the fixture `send_raw`.")

    @pytest.fixture
    def join(self, make_broker: MakeBroker) -> Iterator[Join]:
        joined: list[Broker] = []

        def join(
            service: str,
            *,
            listens_to: Collection[str] = (),
            peers: Mapping[str, Collection[str]] = {},
            **options: Any,
        ) -> Broker:
            broker = make_broker(service, **options)
            joined.append(broker)
            owns = {"shop": ["orders"], "billing": ["payments"]}.get(service, [])
            broker.declare(Topology(service=service, owns=owns, listens_to=listens_to, peers=peers))
            return broker

        yield join
        for broker in joined:
            broker.close()

    def test_command_goes_to_its_service_only(self, join: Join) -> None:
        billing, shipping = join("billing"), join("shipping")
        shop = join("shop", peers={"billing": (), "shipping": ()})
        sent = command("billing")
        publish(shop, sent)
        assert take(billing, 1) == [sent]
        assert is_silent(shipping) and is_silent(shop)

    def test_reply_goes_to_who_asked(self, join: Join) -> None:
        shop, billing = join("shop"), join("billing", peers={"shop": ()})
        sent = reply("shop")
        publish(billing, sent)
        assert take(shop, 1) == [sent]
        assert is_silent(billing)

    def test_event_goes_once_to_every_service_that_listens_to_its_domain(self, join: Join) -> None:
        billing = join("billing", listens_to=["orders"])
        shipping = join("shipping", listens_to=["orders", "payments"])
        shop = join("shop", listens_to=["payments", "ord"])
        named, unnamed = event("orders", 1), event("orders", 2, type="Placed")
        publish(shop, named, unnamed)
        assert take(billing, 2) == [named, unnamed]
        assert take(shipping, 2) == [named, unnamed]
        assert is_silent(billing) and is_silent(shipping) and is_silent(shop)

    def test_listener_of_a_domain_does_not_get_one_with_a_longer_name(self, join: Join) -> None:
        shop = join("shop", listens_to=["orders"])
        publish(shop, event("orders.eu"), event("orders-us"), event("ordersx"))
        assert is_silent(shop)

    def test_event_that_nobody_listens_to_is_confirmed(self, join: Join) -> None:
        shop = join("shop")
        publish(shop, event("orders", 1), event("orders", 2))

    def test_nothing_is_published_of_nothing(self, join: Join) -> None:
        published = join("shop").publish([])
        assert (published.confirmed, published.refused) == (frozenset(), {})

    def test_events_of_a_topic_keep_their_order(self, join: Join) -> None:
        shop, billing = join("shop"), join("billing", listens_to=["orders"])
        sent = [event("orders", position) for position in range(1, 4001)]
        for start in range(0, len(sent), 800):
            publish(shop, *sent[start : start + 800])
        assert ids(take(billing, len(sent), limit=300)) == ids(sent)

    def test_commands_of_an_ordering_key_keep_their_order(self, join: Join) -> None:
        billing = join("billing")
        shop = join("shop", peers={"billing": ()})
        sent = [command("billing", number, ordering_key="account-1") for number in range(3000)]
        for start in range(0, len(sent), 700):
            publish(shop, *sent[start : start + 700])
        assert ids(take(billing, len(sent), limit=400)) == ids(sent)

    @pytest.mark.parametrize(
        "message",
        [
            command("billing"),
            command(
                "billing",
                schema=3,
                payload='{"text":"ä 😀 \\u0007","none":null,"n":12345678901234567890}'.encode(),
                metadata=WireMetadata(
                    message_id=(id := uuid4()),
                    correlation_id=uuid4(),
                    causation_id=uuid4(),
                    user="Zoë",
                    service="shop ü",
                    region="eu",
                    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                    hops=3,
                ),
                message_id=id,
                ordering_key="Kunde ß",
                available_at=_AT + timedelta(hours=1),
                expires_at=_AT + timedelta(days=1),
                reply_to="shop",
            ),
            reply("billing", payload=b"[1, 2.5 ,\n {}]"),
            command("billing", payload=b'"' + b"x" * 500_000 + b'"'),
        ],
        ids=["bare command", "full command", "reply", "500 KB"],
    )
    def test_what_arrives_is_what_was_sent(self, join: Join, message: BrokerMessage) -> None:
        billing = join("billing")
        publish(join("shop"), message)
        assert take(billing, 1) == [message]

    def test_events_arrive_as_they_were_sent(self, join: Join) -> None:
        billing, shop = join("billing", listens_to=["orders"]), join("shop")
        sent = [event("orders", 2**53 + n, stream=name) for n, name in enumerate(_ODD_STREAMS)]
        sent += [event("orders", 1, previous=None), event("orders", 2, previous=0)]
        sent += [event("orders", 3, lane="0-512/7")]
        sent += [event("orders", 3, type="T" * 400), event("orders", 4, type="käse/#.*")]
        sent += [event("orders", 5, payload=b'"' + "ö".encode() * 250_000 + b'"')]
        publish(shop, *sent)
        assert take(billing, len(sent)) == sent

    def test_what_was_not_acknowledged_comes_again_in_order(self, join: Join) -> None:
        shop, first = join("shop"), join("billing", listens_to=["orders"])
        sent = [event("orders", position) for position in range(1, 11)]
        publish(shop, *sent)
        assert take(first, 4, limit=1) == sent[:4]
        assert messages_of(receive(first, 6)) == sent[4:]
        first.close()
        second = join("billing", listens_to=["orders"])
        assert take(second, 6) == sent[4:]
        assert is_silent(second)

    def test_commands_that_were_not_acknowledged_come_again_to_another(self, join: Join) -> None:
        shop, first = join("shop", peers={"billing": ()}), join("billing")
        sent = [command("billing", number) for number in range(10)]
        publish(shop, *sent)
        assert take(first, 3, limit=1) == sent[:3]
        assert len(receive(first, 7)) == 7
        second = join("billing")
        first.close()
        assert set(ids(take(second, 7))) == set(ids(sent[3:]))
        assert is_silent(second)

    def test_what_was_acknowledged_does_not_come_again(self, join: Join) -> None:
        shop, billing = join("shop"), join("billing", listens_to=["orders"])
        publish(shop, *(command("billing", n) for n in range(5)))
        publish(shop, *(event("orders", n) for n in range(1, 6)))
        deliveries = receive(billing, 10)
        assert len(deliveries) == 10
        billing.acknowledge(deliveries)
        billing.close()
        assert is_silent(billing)
        assert is_silent(join("billing", listens_to=["orders"]))

    def test_two_receivers_share_commands(self, join: Join) -> None:
        receivers = [join("billing"), join("billing")]
        shop = join("shop", peers={"billing": ()})
        sent = [command("billing", number) for number in range(1000)]
        assert all(is_silent(receiver) for receiver in receivers)  # both of them wait
        publish(shop, *sent)
        found = self._take_in_turns(receivers, len(sent))
        assert set(ids(found)) == set(ids(sent))
        assert all(is_silent(receiver) for receiver in receivers)

    def test_two_receivers_keep_the_order_of_a_topic(self, join: Join) -> None:
        receivers = [join("billing", listens_to=["orders"]) for _ in range(2)]
        shop = join("shop")
        sent = [event("orders", position) for position in range(1, 1001)]
        assert all(is_silent(receiver) for receiver in receivers)  # both of them wait
        publish(shop, *sent[:500])
        found = self._take_in_turns(receivers, 300)
        receivers[0].close()
        publish(shop, *sent[500:])
        # At least once: what the closed one held comes again, but nothing comes before its turn.
        seen = {message.position for message in found}
        while missing := len(sent) - len(seen):
            more = take(receivers[1], 1, limit=100)
            assert more, f"{missing} events did not come"
            found += more
            seen |= {message.position for message in more}
        firsts = list(dict.fromkeys(message.position for message in found))
        assert firsts == [message.position for message in sent]

    def _take_in_turns(self, receivers: Sequence[Broker], count: int) -> list[BrokerMessage]:
        """So many different messages; a broker that shares its work out anew may bring some twice."""
        found: list[BrokerMessage] = []
        deadline = monotonic() + _PATIENCE_SECONDS
        while len(set(ids(found))) < count and monotonic() < deadline:
            for receiver in receivers:
                deliveries = receiver.receive(limit=50, timeout_seconds=0.05)
                receiver.acknowledge(deliveries)
                found += messages_of(deliveries)
        return found

    def test_what_is_sent_before_a_peer_has_ever_run_waits_for_it(self, join: Join) -> None:
        shop = join("shop", peers={"billing": ["orders"], "shipping": ()})
        asked, told = command("billing"), event("orders")
        publish(shop, asked, told, command("shipping"))
        billing = join("billing", listens_to=["orders"])
        assert sorted(ids(take(billing, 2))) == sorted(ids([asked, told]))
        assert len(take(join("shipping"), 1)) == 1

    def test_declaring_twice_changes_nothing(self, join: Join) -> None:
        shop = join("shop", listens_to=["payments"], peers={"billing": ["orders"]})
        publish(shop, command("billing"), event("orders"), event("payments"))
        for _ in range(2):
            join("shop", listens_to=["payments"], peers={"billing": ["orders"]})
            billing = join("billing", listens_to=["orders"], peers={"shop": ["payments"]})
        assert len(take(billing, 2)) == 2
        assert len(take(shop, 1)) == 1
        assert is_silent(billing) and is_silent(shop)

    def test_no_more_is_received_than_the_limit(self, join: Join) -> None:
        billing = join("billing", listens_to=["orders"])
        shop = join("shop", peers={"billing": ()})
        sent = [command("billing", 1), *(event("orders", p) for p in range(1, 7))]
        publish(shop, *sent)
        arrived = 0
        while arrived < len(sent):
            deliveries = billing.receive(limit=3, timeout_seconds=_PATIENCE_SECONDS)
            billing.acknowledge(deliveries)
            assert 0 < len(deliveries) <= 3
            arrived += len(deliveries)
        assert is_silent(billing)

    def test_receiving_ends_when_nothing_comes(self, join: Join) -> None:
        billing = join("billing", listens_to=["orders"])
        began = monotonic()
        assert billing.receive(limit=10, timeout_seconds=0.2) == []
        assert 0.1 < monotonic() - began < 30
        billing.acknowledge([])

    def test_body_that_is_no_message_is_delivered_with_its_problem(
        self, join: Join, send_raw: Callable[[str, bytes], None]
    ) -> None:
        shop, billing = join("shop", peers={"billing": ()}), join("billing")
        bodies = [b"", b"\xff\x00", b"{", b'{"specversion":"1.0"}', b"[]"]
        for body in bodies:
            send_raw("billing", body)
        good = command("billing")
        publish(shop, good)
        deliveries = receive(billing, len(bodies) + 1)
        broken = [delivery for delivery in deliveries if delivery.message is None]
        assert sorted(delivery.raw for delivery in broken) == sorted(bodies)
        assert all(delivery.problem for delivery in broken)
        assert [d.message for d in deliveries if d.message is not None] == [good]
        billing.acknowledge(deliveries)
        billing.close()
        assert is_silent(billing)

    def test_message_that_is_too_large_is_refused(self, join: Join) -> None:
        if "max_message_bytes" not in join("shop").options:
            pytest.skip("the driver has no option max_message_bytes")
        billing = join("billing")
        shop = join("shop", max_message_bytes=2000)
        big, small = command("billing", payload=b'"' + b"x" * 2000 + b'"'), command("billing")
        published = shop.publish([big, small])
        assert published.confirmed == {small.message_id}
        assert set(published.refused) == {big.message_id}
        assert "max_message_bytes" in published.refused[big.message_id]
        assert take(billing, 1) == [small]

    def test_unreachable_product_is_unavailable_and_its_password_stays_secret(
        self, request: pytest.FixtureRequest, make_broker: MakeBroker
    ) -> None:
        if not make_broker("shop").is_remote:
            pytest.skip("there is no server to be reached")
        unreachable: Broker = request.getfixturevalue("unreachable")
        topology = Topology(service="shop", owns=["orders"], listens_to=["payments"])
        for call in (
            lambda: unreachable.declare(topology),
            lambda: unreachable.publish([command("billing")]),
            lambda: unreachable.receive(limit=1, timeout_seconds=0.1),
        ):
            with pytest.raises(BrokerUnavailable) as caught:
                call()
            assert "secret" not in f"{caught.value} {caught.value!r} {unreachable!r}"
            assert caught.value.__suppress_context__
        assert unreachable.server is not None, "telemetry is told where it would be"
        assert "secret" not in str(unreachable.server)
        unreachable.close()

    def test_telemetry_is_told_few_names(self, join: Join) -> None:
        shop = join("shop", peers={"billing": ["orders"]})
        billing = join("billing", listens_to=["orders"])
        sent = [command("billing"), *(event("orders", number) for number in (1, 2))]
        assert len({shop.destination_of(message) for message in sent}) == 2
        publish(shop, *sent)
        deliveries = receive(billing, len(sent))
        assert len({billing.source_of(delivery) for delivery in deliveries}) <= 2
        assert all(count >= 0 for count in billing.depths().values())
        assert shop.system

    def test_closed_object_connects_anew(self, join: Join) -> None:
        billing = join("billing", listens_to=["orders"])
        shop = join("shop", peers={"billing": ()})
        for number in range(2):
            publish(shop, command("billing", number), event("orders", number + 1))
            assert len(take(billing, 2)) == 2
            shop.close()
            billing.close()
            billing.close()

    def test_unknown_option_is_refused(self, make_broker: MakeBroker) -> None:
        with pytest.raises(WhizbangError, match="timeout_second'"):
            make_broker("shop", timeout_second=1)
