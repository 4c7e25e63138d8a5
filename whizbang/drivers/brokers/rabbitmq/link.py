"""A connection to RabbitMQ whose every round trip has a deadline."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop

_MOST_GATHERED_BYTES = 64 * 1024


def parameters_of(options: Mapping[str, Any]) -> Any:
    """Raises OSError for a file of `tls` that cannot be read."""
    url, tls = options["url"], options["tls"]
    if tls is not None:  # else the port and the host's check would be those without TLS
        url = url.replace("amqp://", "amqps://", 1)
    parameters = pika.URLParameters(url)
    if tls is not None:
        context = ssl.create_default_context(cafile=tls.get("ca"))
        if tls.get("cert"):
            context.load_cert_chain(tls["cert"], tls.get("key"))
        parameters.ssl_options = pika.SSLOptions(context, parameters.host)
    parameters.heartbeat = options["heartbeat_seconds"]
    parameters.connection_attempts = 1
    parameters.socket_timeout = parameters.stack_timeout = options["timeout_seconds"]
    return parameters


class _Connection(pika.SelectConnection):  # type: ignore[misc]
    """Can gather what it sends: pika's own calls the system three times a message."""

    _gathered: list[bytes] | None = None
    _gathered_bytes = 0

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Whole messages, for as long as the loop does not run; sent at the end, and in between when they are many."""
        self._gathered = []
        try:
            yield
        finally:
            self._send_gathered()
            self._gathered = None

    def _adapter_emit_data(self, data: bytes) -> None:
        """The hook by which pika's connections differ in how they send."""
        if self._gathered is None:
            super()._adapter_emit_data(data)
            return
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= _MOST_GATHERED_BYTES:
            self._send_gathered()

    def _send_gathered(self) -> None:
        data, self._gathered, self._gathered_bytes = b"".join(self._gathered or ()), [], 0
        if data:
            super()._adapter_emit_data(data)


class Link:
    """A connection that lives while one of our calls runs its loop.

    pika's BlockingConnection would wait for a frozen server until heartbeats are missed, however long that
    is: here the loop itself has the deadline. Made open; raises pika's errors and OSError, as do all methods
    but close() and abort().
    """

    def __init__(self, parameters: Any, *, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self._failure: BaseException | None = None
        self._used_at = monotonic()
        self._loop = IOLoop()
        self._connection = _Connection(
            parameters,
            on_open_callback=lambda _: self.wake(),
            # Not all of these reasons are among the errors that pika documents; some say more by their repr.
            on_open_error_callback=lambda _, reason: self.fail(ConnectionError(repr(reason))),
            on_close_callback=lambda _, reason: self.fail(reason),
            custom_ioloop=self._loop,
        )
        try:
            self._demand(lambda: bool(self._connection.is_open))
        except BaseException:
            self.abort()
            raise

    @property
    def is_broken(self) -> bool:
        return self._failure is not None

    @property
    def idle_seconds(self) -> float:
        return monotonic() - self._used_at

    def open_channel(self) -> Any:
        channel = self.ask(lambda answer: self._connection.channel(on_open_callback=answer))
        channel.add_on_close_callback(lambda _, reason: self.fail(reason))
        return channel

    def ask(self, request: Callable[[Callable[[Any], None]], object]) -> Any:
        """Send a request, which is given the callback for its answer, and wait for the answer."""
        answers: list[Any] = []

        def on_answer(answer: Any) -> None:
            answers.append(answer)
            self.wake()

        request(on_answer)
        self._demand(lambda: bool(answers))
        return answers[0]

    def gathering(self) -> AbstractContextManager[None]:
        """Within it publish only: what is sent goes out in few pieces."""
        return self._connection.gathering()

    def run(self, is_done: Callable[[], bool], *, seconds: float) -> bool:
        """Let the loop work until `is_done`, asked after each wake(); False when `seconds` were not enough."""
        finished = self._spin(lambda: is_done() or self.is_broken, seconds)
        if self._failure is not None and not is_done():
            raise self._failure
        return finished

    def turn(self, *, seconds: float = 0.0) -> None:
        """Send and take what there is, for `seconds`; by default as much as goes without waiting."""
        timer = self._loop.call_later(seconds, self._loop.stop)
        self._loop.start()
        self._loop.remove_timeout(timer)
        if self._failure is not None:
            raise self._failure

    def wake(self) -> None:
        """Let run() ask again whether it is done. For callbacks, which only the running loop calls."""
        self._loop.stop()

    def fail(self, reason: BaseException) -> None:
        self._failure = self._failure or reason
        self.wake()

    def close(self) -> None:
        """End in order, so that the server has all acknowledgements before; cut off who does not answer."""
        if self._connection.is_open and not self.is_broken:
            self._connection.close()
            self._spin(lambda: bool(self._connection.is_closed), self.timeout_seconds)
        self.abort()

    def abort(self) -> None:
        if not self._connection.is_closed:
            # The way by which pika's own heartbeats and timeouts give up; it has no public name.
            self._connection._terminate_stream(ConnectionAbortedError("given up"))
            self._spin(lambda: bool(self._connection.is_closed), self.timeout_seconds)
        self._loop.close()

    def _demand(self, is_done: Callable[[], bool]) -> None:
        if not self.run(is_done, seconds=self.timeout_seconds):
            self._failure = TimeoutError(f"no answer within {self.timeout_seconds:g} s")
            raise self._failure

    def _spin(self, is_over: Callable[[], bool], seconds: float) -> bool:
        deadline = monotonic() + seconds
        while not is_over():
            remaining = deadline - monotonic()
            if remaining <= 0:
                return False
            timer = self._loop.call_later(remaining, self._loop.stop)
            self._loop.start()
            self._loop.remove_timeout(timer)
        self._used_at = monotonic()
        return True
