"""How clients of one Kafka cluster are made, and how their errors are told."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from whizbang.drivers.brokers.base import BrokerUnavailable
from whizbang.drivers.sinks.masking import mask, secrets_in
from whizbang.exceptions import WhizbangError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Producer
    from confluent_kafka.admin import AdminClient

logger = logging.getLogger(__name__)
# What these options say is no secret, and words that are common in errors.
_NO_SECRETS = {"security.protocol", "sasl.mechanism", "sasl.mechanisms"}
# librdkafka wants the time of a request a second above that of a waiting fetch, which is half of one.
_LEAST_SOCKET_SECONDS = 2.0


def load_client(alias: str) -> ModuleType:
    """The module confluent_kafka. Raises WhizbangError when it is not installed."""
    try:
        import confluent_kafka
    except ImportError as exc:
        raise WhizbangError(
            f"Broker {alias!r} needs confluent-kafka: pip install django-whizbang[kafka]"
        ) from exc
    return confluent_kafka


class Complaints:
    """What one client says of its connections while it goes on trying."""

    def __init__(self) -> None:
        self.last = ""
        self.is_severe = False  # until it is set back: there is nobody to talk to

    def hear(self, error: KafkaError) -> None:
        severe = {error._ALL_BROKERS_DOWN, error._AUTHENTICATION, error._FATAL}
        self.is_severe = self.is_severe or error.fatal() or error.code() in severe
        # That all are down says less than what was said of one before.
        if not self.last or error.code() != error._ALL_BROKERS_DOWN:
            self.last = error.str()


class Connection:
    """Makes clients with the options of one broker."""

    def __init__(self, alias: str, options: Mapping[str, Any]) -> None:
        self.alias, self.options = alias, options
        self.timeout_seconds = float(options["timeout_seconds"])
        self._client = load_client(alias)
        security = options["security"]
        self._secrets = secrets_in({k: v for k, v in security.items() if k not in _NO_SECRETS})

    def producer(self, complaints: Complaints, own: Mapping[str, Any]) -> Producer:
        made: Producer = self._make(self._client.Producer, complaints, own)
        return made

    def consumer(self, complaints: Complaints, own: Mapping[str, Any]) -> Consumer:
        made: Consumer = self._make(self._client.Consumer, complaints, own)
        return made

    def admin(self, complaints: Complaints) -> AdminClient:
        from confluent_kafka.admin import AdminClient

        made: AdminClient = self._make(AdminClient, complaints, {})
        return made

    def unavailable(self, problem: Exception | str, complaints: Complaints) -> BrokerUnavailable:
        """The error to raise `from None`: the product's own may tell secrets, and tracebacks are stored."""
        heard = f" ({complaints.last})" if complaints.last else ""
        return BrokerUnavailable(self.alias, self._mask(f"{_text_of(problem)}{heard}"))

    def _make(self, kind: Any, complaints: Complaints, own: Mapping[str, Any]) -> Any:
        limit = milliseconds(max(self.timeout_seconds, _LEAST_SOCKET_SECONDS))
        config = {
            **self.options["security"],
            "bootstrap.servers": self.options["bootstrap_servers"],
            "client.id": "whizbang",
            "socket.timeout.ms": limit,
            "socket.connection.setup.timeout.ms": limit,
            "reconnect.backoff.max.ms": 1_000,
            "error_cb": complaints.hear,
            "logger": self,
            **own,
        }
        try:
            return kind(config)
        except (self._client.KafkaException, TypeError, ValueError) as exc:
            reason = self._mask(_text_of(exc))
            raise WhizbangError(
                f"Kafka's client takes the options of broker {self.alias!r} not: {reason}"
            ) from None

    def log(self, level: int, text: str, *values: object) -> None:
        """What librdkafka logs; clients call it with the levels of `logging`."""
        # Every second of every broker that is away, which BrokerUnavailable tells.
        level = logging.DEBUG if values[:1] == ("FAIL",) else level
        logger.log(level, "broker=%s %s", self.alias, self._mask(text % values))

    def _mask(self, text: str) -> str:
        return mask(text, self._secrets)


def milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1000)


def _text_of(problem: Exception | str) -> str:
    """In words: a KafkaException has its error as its argument."""
    if isinstance(problem, Exception) and problem.args and hasattr(problem.args[0], "str"):
        return str(problem.args[0].str())
    return str(problem)
