"""Exchanges and queues, made where they are missing and checked where they are there."""

from __future__ import annotations

from functools import partial
from typing import Any

from pika.exceptions import ChannelClosedByBroker

from whizbang.drivers.brokers.base import Topology
from whizbang.drivers.brokers.rabbitmq.link import Link
from whizbang.drivers.brokers.rabbitmq.names import Names, binding_key_of
from whizbang.exceptions import WhizbangError

_PRECONDITION_FAILED = 406
# Two receivers at a time would break the order of a topic, and of an ordering key: what waits in the connection
# of one that lost its lease comes back behind what the next one has got meanwhile.
_ONE_RECEIVER = {"x-queue-type": "quorum", "x-single-active-consumer": True}


def declare(link: Link, topology: Topology, names: Names) -> None:
    """Raises WhizbangError for what is there and of another kind; making it twice changes nothing."""
    channel = link.open_channel()
    for name, kind in ((names.services, "direct"), (names.events, "topic")):
        make = partial(channel.exchange_declare, name, kind, durable=True)
        _ask(link, f"an exchange {name!r}", make)
    listeners = {**topology.peers, topology.service: topology.listens_to}
    for service, domains in listeners.items():
        queue = names.queue_of(service)
        _make_queue(link, channel, queue)
        _bind(link, channel, queue, names.services, service)
        if domains:
            queue = names.event_queue_of(service)
            _make_queue(link, channel, queue)
        for domain in domains:
            _bind(link, channel, queue, names.events, binding_key_of(domain))


def _make_queue(link: Link, channel: Any, queue: str) -> None:
    make = partial(channel.queue_declare, queue, durable=True, arguments=_ONE_RECEIVER)
    _ask(link, f"a queue {queue!r}", make)


def _bind(link: Link, channel: Any, queue: str, exchange: str, key: str) -> None:
    _ask(link, f"a queue {queue!r}", partial(channel.queue_bind, queue, exchange, key))


def _ask(link: Link, what: str, request: Any) -> None:
    try:
        link.ask(lambda answer: request(callback=answer))
    except ChannelClosedByBroker as exc:
        if exc.reply_code != _PRECONDITION_FAILED:
            raise
        raise WhizbangError(
            f"RabbitMQ has {what} of another kind than is needed ({exc.reply_text}): delete it once "
            "it is empty and nobody uses it, or give the broker's option 'prefix' another value."
        ) from None
