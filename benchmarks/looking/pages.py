"""Opens a page of each kind again and again, and counts what it asks of the database."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from benchmarks.looking.kinds import START, Kind, kind_of

MOST_PAGES = 250


class Opened(NamedTuple):
    """One page: seconds of each time it was opened, and statements of one of them."""

    kind: Kind
    path: str
    seconds: tuple[float, ...]
    statements: int

    @property
    def median_ms(self) -> float:
        return median(self.seconds) * 1e3

    @property
    def p95_ms(self) -> float:
        if len(self.seconds) < 2:
            return self.seconds[0] * 1e3
        return quantiles(self.seconds, n=20, method="inclusive")[-1] * 1e3


def log_in() -> Any:
    """A client of a superuser."""
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client

    settings.ALLOWED_HOSTS = ["testserver"]
    user, _ = User.objects.get_or_create(username="benchmark", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(user)
    return client


def open_all(client: Any, *, rounds: int) -> list[Opened]:
    return [_open(client, kind, path, rounds) for kind, path in find_pages(client)]


def find_pages(client: Any) -> Iterator[tuple[Kind, str]]:
    """One of each kind that links lead to from the admin's index. Raises RuntimeError at an error."""
    waiting, seen, kinds = deque([START]), {START}, set()
    while waiting and len(kinds) < MOST_PAGES:
        path = waiting.popleft()
        kind = kind_of(path)
        if kind is None or kind in kinds:
            continue
        kinds.add(kind)
        response = client.get(path)
        if response.status_code >= 400:
            raise RuntimeError(f"{path} answers {response.status_code}.")
        if response.status_code == 200 and not response.streaming:
            yield kind, path
            fresh = [href for href in links_of(path, response.text) if href not in seen]
            seen.update(fresh)
            waiting.extend(fresh)


def _open(client: Any, kind: Kind, path: str, rounds: int) -> Opened:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        client.get(path)
        statements = len(captured)  # the next request empties the list
    seconds = []
    for _ in range(rounds):
        started = perf_counter()
        client.get(path)
        seconds.append(perf_counter() - started)
    return Opened(kind, path, tuple(seconds), statements)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href") if tag == "a" else None
        if href:
            self.found.append(href)


def links_of(path: str, text: str) -> list[str]:
    """Paths on this site that a page links to, each once."""
    parser = _Links()
    parser.feed(text)
    whole = (urljoin(path, href) for href in parser.found)
    parts = [urlsplit(href) for href in dict.fromkeys(whole)]
    return [
        f"{p.path}?{p.query}" if p.query else p.path for p in parts if not (p.netloc or p.scheme)
    ]
