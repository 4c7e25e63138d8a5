from __future__ import annotations

import http.cookiejar
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command

from tests.example.conftest import statuses
from tests.processes import PATIENCE_SECONDS


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("cdnow_path")
def test_demo_imports_real_orders_and_ships_them() -> None:
    out = StringIO()

    call_command("demo", no_serve=True, limit=250, stdout=out)

    assert "Imported 250 of 250 orders" in out.getvalue()
    assert "250 orders of 59 customers" in out.getvalue()
    assert "What became of the orders\n       250  Shipped\n" in out.getvalue()
    assert Counter(statuses().values()) == {"shipped": 250}
    assert User.objects.get(username="demo").is_superuser


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("cdnow_path")
@pytest.mark.soak
def test_demo_stops_importing_when_its_time_is_over_and_goes_on_next_time() -> None:
    first, second = StringIO(), StringIO()

    call_command("demo", no_serve=True, limit=2_100, seconds=0, stdout=first)
    call_command("demo", no_serve=True, limit=2_100, stdout=second)

    assert "Imported 2,000 of 2,100 orders: 2,000 accepted" in first.getvalue()
    assert "Imported 2,100 of 2,100 orders: 100 accepted, 2,000 duplicates" in second.getvalue()


class Site:
    """A running demo, as a visitor sees it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )

    def get(self, path: str) -> str:
        with self._opener.open(self._address + path, timeout=PATIENCE_SECONDS) as response:
            return str(response.read().decode())

    def post(self, path: str, **fields: str) -> str:
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path))
        assert found is not None
        data = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": found[1]}).encode()
        with self._opener.open(self._address + path, data, timeout=PATIENCE_SECONDS) as response:
            return str(response.read().decode())

    def wait_for(self, path: str, text: str) -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                page = self.get(path)
            except urllib.error.URLError:
                page = ""
            if text in page:
                return page
            assert time.monotonic() < deadline, f"{text!r} did not appear in {page!r}"
            time.sleep(0.1)


def heed_interrupts() -> None:
    """What a shell starts in the background ignores them, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "projects.example.settings",
        "EXAMPLE_DATABASE": "sqlite",
        "EXAMPLE_VAR": str(tmp_path),
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--limit", "50", "--port", "18000"],
        cwd=settings.BASE_DIR,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heed_interrupts,
    )
    with process:
        yield process
        process.kill()


@pytest.mark.requires_sqlite
@pytest.mark.usefixtures("cdnow_path")
def test_demo_serves_a_site_with_a_login_and_a_worker_until_it_is_interrupted(
    demo: subprocess.Popen[str],
) -> None:
    assert demo.stdout is not None
    told = ""
    while "Login" not in told:
        line = demo.stdout.readline()
        assert line, told
        told += line
    address = re.search(r"Shop +(http://127\.0\.0\.1:\d+)/", told)
    login = re.search(r"Login +(\S+) +password +(\S+)", told)
    assert address is not None
    assert login is not None
    site = Site(address[1])

    assert "cdnow-" in site.wait_for("/", "Shipped")
    assert ".totals" in site.get("/static/orders/home.css")
    site.post("/", order_id="web-1", customer_id="c-1", quantity="1", amount="9.99")
    admin = site.post(
        "/admin/login/?next=/admin/orders/trackedorder/", username=login[1], password=login[2]
    )
    assert "Log out" in admin
    site.wait_for("/admin/orders/trackedorder/?q=web-1", '<td class="field-status">Shipped')

    demo.send_signal(signal.SIGINT)

    assert demo.wait(timeout=PATIENCE_SECONDS) == 0
    assert "Traceback" not in demo.stdout.read()
