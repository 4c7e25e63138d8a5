"""A small HTTP server for probes: /live and /ready."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any

from whizbang.exceptions import WhizbangError
from whizbang.operations.liveness.report import Report

logger = logging.getLogger(__name__)
_MOST_SECONDS = 2.0  # for one request, from the connection to the last byte
_MOST_CONNECTIONS = 32  # beyond that the oldest one goes
_MOST_BYTES = 8192  # of a request


class HealthServer:
    """Answers in one thread, however many ask: it is bounded in connections, in bytes and in time."""

    def __init__(self, look: Callable[[], Report], *, host: str, port: int) -> None:
        """`port`: 0 for one that is free."""
        self._look, self._host, self._port = look, host, port
        self._open: dict[asyncio.StreamWriter, None] = {}  # in the order in which they came
        self._started: Future[int] = Future()
        self._end: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name="whizbang-health", daemon=True)

    @property
    def address(self) -> str:
        """Once it has started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._started.result()}"

    def start(self) -> None:
        """Raises WhizbangError where the address is taken or is not this machine's."""
        self._thread.start()
        try:
            self._started.result()
        except (OSError, OverflowError) as exc:
            raise WhizbangError(
                f"Nobody can listen on {self._host!r}, port {self._port}: {exc}. Choose another --health-port."
            ) from exc

    def stop(self) -> None:
        self._end()
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        is_over, loop = asyncio.Event(), asyncio.get_running_loop()
        try:
            server = await asyncio.start_server(
                self._answer, self._host, self._port, limit=_MOST_BYTES, backlog=_MOST_CONNECTIONS
            )
        except (OSError, OverflowError) as exc:
            self._started.set_exception(exc)
            return
        self._end = lambda: loop.call_soon_threadsafe(is_over.set)
        self._started.set_result(server.sockets[0].getsockname()[1])
        async with server:
            await is_over.wait()
            for writer in self._open:
                writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= _MOST_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.transport.abort()
        self._open[writer] = None
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (
            TimeoutError,
            OSError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ) as exc:
            logger.debug("Health request not answered reason=%r", exc)
            writer.transport.abort()
        finally:
            self._open.pop(writer, None)

    def _response(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.split(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _format(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "GET or HEAD"})
        if path not in (b"/live", b"/ready"):
            return _format(HTTPStatus.NOT_FOUND, {"error": "/live or /ready"})
        report = self._look()
        is_well = report.is_live if path == b"/live" else report.is_ready
        status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
        return _format(status, report.as_json(), has_body=method == b"GET")


def _format(status: HTTPStatus, content: dict[str, Any], *, has_body: bool = True) -> bytes:
    body = json.dumps(content).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (body if has_body else b"")
