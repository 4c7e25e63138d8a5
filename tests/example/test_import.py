from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

import whizbang
from projects.example.orders.messages import OrderPlaced
from projects.example.orders.models import Customer, SalesDay, TrackedOrder
from tests.example.conftest import statuses

Write = Callable[..., Path]
Run = Callable[..., str]


def sales() -> list[tuple[object, ...]]:
    return list(SalesDay.objects.order_by("day").values_list("day", "orders", "cds", "value"))


def customers() -> list[tuple[object, ...]]:
    rows = Customer.objects.order_by("customer_id")
    return list(rows.values_list("customer_id", "orders", "cds", "value"))


def test_each_line_becomes_an_order_in_both_sales_projections(
    write_lines: Write, run_import: Run
) -> None:
    path = write_lines(
        " 00001 19970101  1   11.77", " 00002 19970112  5   77.00", " 00001 19970112  2   12.01"
    )

    printed = run_import(path)

    assert "3 accepted, 0 duplicates, 0 bad" in printed
    assert sales() == [
        (date(1997, 1, 1), 1, 1, Decimal("11.77")),
        (date(1997, 1, 12), 2, 7, Decimal("89.01")),
    ]
    assert customers() == [("00001", 2, 3, Decimal("23.78")), ("00002", 1, 5, Decimal("77.00"))]


def test_order_keeps_its_line_and_its_day(write_lines: Write, run_import: Run) -> None:
    run_import(write_lines(" 00001 19970101  3   10.00"))

    recorded = next(iter(whizbang.event_store().read_stream("orders.Order-cdnow-2")))

    assert isinstance(recorded.event, OrderPlaced)
    (line,) = recorded.event.lines
    assert (line.quantity, line.amount) == (3, Decimal("10.00"))
    assert recorded.meta.occurred_at == datetime(1997, 1, 1, tzinfo=UTC)
    assert recorded.meta.recorded_at is not None
    assert recorded.meta.recorded_at.year >= 2026


def test_lines_that_repeat_each_other_are_orders_of_their_own(
    write_lines: Write, run_import: Run
) -> None:
    line = " 00003 19970102  2   20.76"

    printed = run_import(write_lines(line, line, line))

    assert "3 accepted, 0 duplicates" in printed
    assert customers() == [("00003", 3, 6, Decimal("62.28"))]


def test_importing_twice_changes_nothing(write_lines: Write, run_import: Run) -> None:
    line = " 00003 19970102  2   20.76"
    path = write_lines(line, line, " 00004 19970101  2   29.33")
    run_import(path)
    head, before = whizbang.event_store().head(), (sales(), customers())

    printed = run_import(path)

    assert "0 accepted, 3 duplicates, 0 bad" in printed
    assert (sales(), customers()) == before
    assert whizbang.event_store().head() == head


def test_an_import_that_was_cut_off_goes_on_where_it_stopped(
    write_lines: Write, run_import: Run
) -> None:
    path = write_lines(*(f" 0000{n} 19970101  1   10.00" for n in range(1, 6)))
    run_import(path, limit=2)

    printed = run_import(path)

    assert "3 accepted, 2 duplicates" in printed
    assert len(customers()) == 5


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (" 00002 19970101  1", "it has 3 columns instead of 4"),
        (" 00002 19970101  1  2.00 USD", "it has 5 columns instead of 4"),
        (" 00002 19970229  1   2.00", "'19970229' is not a date"),
        (" 00002 today     1   2.00", "'today' is not a date"),
        (" 00002 19970101  x   2.00", "'x' is not a whole number of CDs"),
        (" 00002 19970101  1.5 2.00", "'1.5' is not a whole number of CDs"),
        (" 00002 19970101  1   2,00", "'2,00' is not an amount of money"),
        (" 00002 19970101  0   2.00", "Expected `int` >= 1"),
        (" 00002 19970101  -1  2.00", "Expected `int` >= 1"),
        (" 00002 19970101  1   -2.00", "The amount -2.00 is not between 0 and 1000000"),
        (" 00002 19970101  1   NaN", "NaN"),
        (" 00002 19970101  1   1E+30", "The amount 1E+30 is not between 0 and 1000000"),
        (" 00002 19970101  1   2.005", "The amount 2.005 is not in whole cents"),
        (f" {'9' * 65} 19970101  1   2.00", "Expected `str` of length <= 64"),
        (" \udcff 19970101  1   2.00", "it is not UTF-8 text"),
        (" a\0b 19970101  1   2.00", "NUL"),
    ],
)
def test_bad_line_is_reported_with_number_and_reason_and_the_rest_goes_on(
    write_lines: Write, run_import: Run, line: str, reason: str
) -> None:
    path = write_lines(" 00001 19970101  1   11.77", line, " 00003 19970101  1   10.00")
    out = StringIO()

    with pytest.raises(CommandError, match="1 lines were left out"):
        run_import(path, out=out)

    (told,) = [text for text in out.getvalue().splitlines() if "is left out" in text]
    assert told.startswith("Line 3 is left out: ")
    assert reason in told
    assert "2 accepted, 0 duplicates, 1 bad" in out.getvalue()
    assert [row[0] for row in customers()] == ["00001", "00003"]


def test_bad_lines_of_both_kinds_are_told_in_order_in_every_batch(
    write_lines: Write, run_import: Run
) -> None:
    good, refused, unreadable = (
        " 00001 19970101  1   10.00",
        " 00001 19970101  0   10.00",
        " 00001 never     1   10.00",
    )
    path = write_lines(good, refused, unreadable, refused, good, unreadable, refused)
    out = StringIO()

    with pytest.raises(CommandError, match="5 lines were left out"):
        run_import(path, out=out, batch_size=3)

    told = [text.split()[1] for text in out.getvalue().splitlines() if "is left out" in text]
    assert told == ["3", "4", "5", "7", "8"]
    assert sorted(statuses()) == ["cdnow-2", "cdnow-6"]


def test_an_order_for_nothing_is_legal(write_lines: Write, run_import: Run) -> None:
    run_import(write_lines(" 00001 19970101  1    0.00"))

    assert customers() == [("00001", 1, 1, Decimal("0.00"))]


def test_a_file_without_a_header_loses_no_order(write_lines: Write, run_import: Run) -> None:
    printed = run_import(write_lines(" 00001 19970101  1   11.77", header=None))

    assert "1 accepted" in printed
    assert list(statuses()) == ["cdnow-1"]


def test_without_drain_the_orders_wait_for_a_worker(write_lines: Write, run_import: Run) -> None:
    printed = run_import(write_lines(" 00001 19970101  1   11.77"), drain=False)

    assert "1 accepted" in printed
    assert "a worker places them" in printed
    assert not TrackedOrder.objects.exists()
    assert not list(whizbang.event_store().read_all())


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"There is no file .*nowhere\.txt"):
        call_command("import_cdnow", file=tmp_path / "nowhere.txt")


def test_batch_size_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--batch-size"):
        call_command("import_cdnow", file=tmp_path, batch_size=0)
