from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from projects.example.orders.cdnow import find_file
from projects.example.orders.models import TrackedOrder
from projects.example.process import CHOREOGRAPHY, SAGA
from tests.example.styles import process_of
from tests.services import must_answer

HEADER = " customer_id  date number_of_cds  dollar_value"


@pytest.fixture(params=[SAGA, CHOREOGRAPHY])
def process(request: pytest.FixtureRequest, db: None) -> Iterator[str]:
    """Each of the two ways in which the example can be wired, in turn."""
    with process_of(request.param):
        yield request.param


@pytest.fixture
def cdnow_path() -> Path:
    """The real orders; skipped where they are not installed, but not in CI."""
    try:
        return find_file()
    except FileNotFoundError as error:
        if must_answer():
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of orders: a header and these lines."""

    def write(*lines: str, header: str | None = HEADER) -> Path:
        path = tmp_path / "orders.txt"
        all_lines = [*([header] if header else []), *lines]
        path.write_bytes(
            "".join(f"{line}\r\n" for line in all_lines).encode("utf-8", "surrogateescape")
        )
        return path

    return write


@pytest.fixture
def run_import(db: None) -> Callable[..., str]:
    """Runs import_cdnow and gives what it printed; drains unless told otherwise."""

    def run(path: Path, *, out: StringIO | None = None, drain: bool = True, **options: Any) -> str:
        out = out or StringIO()
        call_command("import_cdnow", file=path, drain=drain, stdout=out, **options)
        return out.getvalue()

    return run


def statuses() -> dict[str, str]:
    """Every known order with its status."""
    return dict(TrackedOrder.objects.values_list("order_id", "status"))
