"""A server that speaks Elasticsearch's API: noida-db, or a real one that WHIZBANG_TEST_ELASTICSEARCH names."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from urllib.error import URLError
from urllib.request import urlopen

from tests.processes import PATIENCE_SECONDS, wait_until


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def elasticsearch_server(port: int | None = None) -> Iterator[str]:
    """Its URL; noida-db runs in a directory of its own, which goes away with it."""
    named = os.environ.get("WHIZBANG_TEST_ELASTICSEARCH")
    if named and port is None:
        yield named
        return
    port = port or free_port()
    with tempfile.TemporaryDirectory() as folder, _noida(port, folder):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url))
        yield url


@contextmanager
def _noida(port: int, folder: str) -> Iterator[None]:
    # The program itself: its wrapper in Python would leave it running.
    program = files("noida_db").joinpath("noida-db")
    os.chmod(str(program), 0o755)
    arguments = ["start", "--only", "elasticsearch", "--elasticsearch-port", str(port)]
    with subprocess.Popen(
        [str(program), *arguments, "--data-dir", folder],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=3):
            return True
    except (URLError, ConnectionError):
        return False
