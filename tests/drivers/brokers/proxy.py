"""A TCP proxy that cuts, half-closes, freezes and delays what goes through it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from time import sleep

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: the other side sees a reset


class Proxy:
    """Stands between clients and the server at `host` and `port`; `port` of its own is where it listens."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.delay_seconds = 0.0  # before each piece, both ways
        self._flowing = Event()
        self._flowing.set()
        self._lock = Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[Thread] = []
        self._due: tuple[int, Callable[[], None]] | None = None  # bytes from clients, and then what
        self._start(self._accept)

    def freeze(self) -> None:
        """Connections stay, and nothing goes through until thaw()."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def cut(self) -> None:
        """Reset every connection, on both sides. New ones are welcome."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):  # its other side may have gone by itself
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def cut_after(self, byte_count: int) -> None:
        """Cut once, when clients have sent so many more bytes."""
        self._due = (byte_count, self.cut)

    def freeze_after(self, byte_count: int) -> None:
        """Freeze when clients have sent so many more bytes."""
        self._due = (byte_count, self.freeze)

    def half_close(self) -> None:
        """Tell clients that the server has ended; what they send still goes to it."""
        with self._lock:
            for client, _ in self._pairs:
                with suppress(OSError):  # it has gone by itself
                    client.shutdown(socket.SHUT_WR)

    def half_close_after(self, byte_count: int) -> None:
        """Half-close once, when clients have sent so many more bytes."""
        self._due = (byte_count, self.half_close)

    @property
    def is_armed(self) -> bool:
        """Is something still to happen when more bytes have come?"""
        return self._due is not None

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.thaw()
        self.cut()
        for thread in self._threads:
            thread.join(timeout=10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(self._target)
            with self._lock:
                self._pairs.append((client, server))
            self._start(self._pump, client, server, True)
            self._start(self._pump, server, client, False)

    def _pump(self, source: socket.socket, sink: socket.socket, is_from_client: bool) -> None:
        with suppress(OSError):  # either side is gone, or cut
            while piece := source.recv(16384):
                if is_from_client:
                    self._count(len(piece))
                self._flowing.wait()
                sleep(self.delay_seconds)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)

    def _count(self, byte_count: int) -> None:
        if self._due is None:
            return
        left, then = self._due[0] - byte_count, self._due[1]
        self._due = (left, then) if left > 0 else None
        if left <= 0:
            then()

    def _start(self, work: object, *arguments: object) -> None:
        thread = Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


@contextmanager
def proxy_to(host: str, port: int) -> Iterator[Proxy]:
    proxy = Proxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()
