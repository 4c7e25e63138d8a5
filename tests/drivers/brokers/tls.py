"""Certificates of one test's own, and what speaks TLS in front of a server that does not."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from tests.processes import PATIENCE_SECONDS

Change = Callable[[bytes], bytes]


class Certificate(NamedTuple):
    """PEM files: of the authority, and of what it has signed."""

    ca: Path
    cert: Path
    key: Path


def make_certificate(folder: Path, name: str, *, hosts: str = "IP:127.0.0.1") -> Certificate:
    """Signed by an authority of its own."""
    ca, ca_key = folder / f"{name}-ca.pem", folder / f"{name}-ca.key"
    made = Certificate(ca, folder / f"{name}.pem", folder / f"{name}.key")
    _request(ca, ca_key, f"/CN=authority of {name}")
    signed = ("-CA", str(ca), "-CAkey", str(ca_key), "-addext", f"subjectAltName={hosts}")
    _request(made.cert, made.key, f"/CN={name}", *signed, "-addext", "basicConstraints=CA:FALSE")
    return made


def _request(cert: Path, key: Path, subject: str, *options: str) -> None:
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    files = ("-out", str(cert), "-keyout", str(key))
    command = ["openssl", "req", "-x509", "-days", "2", *curve, "-subj", subject, *files, *options]
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def tls_before(
    port: int, certificate: Certificate, *, clients: Path | None = None, change: Change = bytes
) -> Iterator[int]:
    """The port where a server of this machine is reached by TLS.

    `clients`: the authority of those that may come. `change` is done to all that the server says.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    context.verify_mode = ssl.CERT_NONE if clients is None else ssl.CERT_REQUIRED
    context.load_cert_chain(certificate.cert, certificate.key)
    front = _Front(port, context, change)
    thread = Thread(target=asyncio.run, args=[front.run()], daemon=True)
    thread.start()
    own_port, end = front.started.result(PATIENCE_SECONDS)
    try:
        yield own_port
    finally:
        end()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


class _Front:
    def __init__(self, port: int, context: ssl.SSLContext, change: Change) -> None:
        self._port, self._context, self._change = port, context, change
        self._writers: set[asyncio.StreamWriter] = set()
        self.started: Future[tuple[int, Callable[[], object]]] = Future()  # its port, how to end it

    async def run(self) -> None:
        loop, is_over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0, ssl=self._context)
        own_port = int(server.sockets[0].getsockname()[1])
        self.started.set_result((own_port, lambda: loop.call_soon_threadsafe(is_over.set)))
        await is_over.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        # Also of who came at this moment, and whose connection is not among those yet.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _meet(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {to_client, to_server}
        await asyncio.gather(
            _pump(client, to_server, bytes), _pump(server, to_client, self._change)
        )


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Change) -> None:
    with suppress(OSError):  # either side has gone
        while piece := await reader.read(65536):
            writer.write(change(piece))
            await writer.drain()
        writer.close()
        await writer.wait_closed()
