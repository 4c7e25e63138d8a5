"""A server that speaks Elasticsearch's API: noida-db, or a real one that WHIZBANG_TEST_ELASTICSEARCH names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

from tests.noida_server import free_port, noida_server
from tests.processes import wait_until


@contextmanager
def elasticsearch_server(port: int | None = None) -> Iterator[str]:
    """Its URL."""
    named = os.environ.get("WHIZBANG_TEST_ELASTICSEARCH")
    if named and port is None:
        yield named
        return
    port = port or free_port()
    with noida_server("elasticsearch", port):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url))
        yield url


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=3):
            return True
    except (URLError, ConnectionError):
        return False
