from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from projects.example.process import NONE
from tests.example.styles import process_of

# As the data's description has them.
ORDERS_BY_MONTH = {
    "1997-01": 8928,
    "1997-02": 11272,
    "1997-03": 11598,
    "1997-04": 3781,
    "1997-05": 2895,
    "1997-06": 3054,
    "1997-07": 2942,
    "1997-08": 2320,
    "1997-09": 2296,
    "1997-10": 2562,
    "1997-11": 2750,
    "1997-12": 2504,
    "1998-01": 2032,
    "1998-02": 2026,
    "1998-03": 2793,
    "1998-04": 1878,
    "1998-05": 1985,
    "1998-06": 2043,
}


def report(**options: Any) -> Any:
    out = StringIO()
    call_command("sales_report", json=True, stdout=out, **options)
    return json.loads(out.getvalue())


@pytest.mark.django_db
def test_report_of_no_orders_is_empty() -> None:
    found = report()

    assert (found["orders"], found["value"], found["top_customers"]) == (0, "0", [])
    assert found["first_day"] is None


def test_report_for_people_shows_totals_months_and_customers(
    write_lines: Callable[..., Path], run_import: Callable[..., str]
) -> None:
    run_import(write_lines(" 00001 19970101  1   11.77", " 00002 19970212  1500   1077.00"))
    out = StringIO()

    call_command("sales_report", stdout=out)

    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert lines[0] == (
        "2 orders of 2 customers: 1,501 CDs for $1,088.77 on 2 days (1997-01-01 to 1997-02-12)"
    )
    assert {"1997-01 1", "1997-02 1", "00002 1 1,500 $1,077.00", "00001 1 1 $11.77"} <= set(lines)


@pytest.mark.soak
@pytest.mark.requires_sqlite  # 70,000 commands take minutes elsewhere; another soak test imports them there
@pytest.mark.django_db(transaction=True)
def test_report_of_all_real_orders_equals_the_facts(
    cdnow_path: Path, run_import: Callable[..., str], settings: Any
) -> None:
    """With orders alone: what follows in the other domains has a test of its own."""
    settings.WHIZBANG = {"OWNS": ["orders"]}

    with process_of(NONE):
        printed = run_import(cdnow_path)

    assert "69,659 accepted, 0 duplicates, 0 bad" in printed
    found = report(top=1)
    assert found["orders_by_month"] == ORDERS_BY_MONTH
    assert found["top_customers"][0]["customer_id"] == "14048"
    assert found["top_customers"][0]["orders"] == 217
    assert (found["orders"], found["customers"], found["cds"]) == (69_659, 23_570, 167_881)
    assert (found["value"], found["days"]) == ("2500315.63", 546)
    assert (found["first_day"], found["last_day"]) == ("1997-01-01", "1998-06-30")
