"""The connection of a Redis broker: made when it is needed, and anew after every failure."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

from whizbang.drivers.brokers.base import BrokerUnavailable
from whizbang.drivers.sinks.masking import mask


class RedisConnection:
    """A client of redis-py. `epoch` grows whenever it is closed, so that what was sent before can be told
    from what is sent now, even if the server reads it later."""

    def __init__(self, *, alias: str, url: str, timeout_seconds: float) -> None:
        self._alias, self._url, self._timeout_seconds = alias, url, timeout_seconds
        self._client: Any = None
        # Whoever looks at a lease sees where its holder runs.
        self.name = f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex}"
        self.epoch = 1

    @contextmanager
    def answering(self) -> Iterator[Any]:
        """Gives the client. Raises `BrokerUnavailable` for all that Redis or the network refuse."""
        from redis.exceptions import RedisError

        try:
            if self._client is None:
                self._client = self._connect()
            yield self._client
        except (RedisError, OSError) as exc:
            # From None: the product's own error may tell secrets, and tracebacks are stored and logged.
            raise self.unavailable(f"{type(exc).__name__}: {exc}") from None

    def unavailable(self, reason: str) -> BrokerUnavailable:
        """The error to raise, without credentials in it; closes the connection."""
        self.close()
        return BrokerUnavailable(self._alias, self.mask(reason))

    def mask(self, text: str) -> str:
        url = urlsplit(self._url)
        passwords = [url.password or "", *parse_qs(url.query).get("password", [])]
        return mask(text, [*passwords, *map(unquote, passwords)])

    def close(self) -> None:
        client, self._client = self._client, None
        self.epoch += 1
        if client is not None:
            client.close()

    def _connect(self) -> Any:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        # No retries of its own: a command that is sent twice is not ours to know of, and the time of
        # one attempt is bounded.
        return Redis.from_url(
            self._url,
            socket_timeout=self._timeout_seconds,
            socket_connect_timeout=self._timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
