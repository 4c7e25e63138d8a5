"""One command from load to commit, against the same reads and writes by hand, ORM and raw driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import databases, machine, site
from benchmarks.child import run_in_child
from benchmarks.databases import Database
from benchmarks.measuring import Contestant, Series, measure_stock, stock_needed, time_each
from benchmarks.options import Options
from benchmarks.report import Figure, Goal, Report, at_least, at_most

if TYPE_CHECKING:
    from benchmarks.by_hand.base import Form
    from whizbang import Event

EVENTS_PER_CART = 5
CARTS_PER_APPEND = 500

MIN_OF_ORM, MIN_OF_RAW = 1.0, 0.6

WHIZBANG = "whizbang.send"


class Size(NamedTuple):
    """How often each form runs, and how many commands at a time."""

    rounds: int
    operations: int

    @property
    def carts(self) -> int:
        """For each form; one more than is timed, to count statements on."""
        return stock_needed(rounds=self.rounds, operations=self.operations) + 1


DEFAULT = Size(rounds=21, operations=300)
FULL = Size(rounds=61, operations=300)
SMOKE = Size(rounds=2, operations=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One database's series by form, the names of the hand-written ones, and statements a command."""

    version: str
    orm: str
    raw: str
    series: dict[str, Series]
    statements: dict[str, int]

    def rate_of(self, other: str) -> float:
        """Our rate as a part of another form's."""
        return self.series[other].times(self.series[WHIZBANG])


def run(options: Options) -> Report:
    size = SMOKE if options.smoke else FULL if options.full else DEFAULT
    vendors = [vendor for vendor in databases.VENDORS if databases.is_available(vendor)]
    found = {vendor: run_in_child(measure_database, vendor, size) for vendor in vendors}
    return Report(
        benchmark="command",
        machine=machine.describe(**{vendor: each.version for vendor, each in found.items()}),
        figures=[row for vendor, each in found.items() for row in describe(vendor, each)],
        goals=[goal for v in databases.VENDORS for goal in judge(v, found.get(v))],
        notes=databases.note_absent(),
    )


def measure_database(vendor: str, size: Size) -> Measured:
    with databases.make(vendor) as database:
        site.set_up(database)
        orm, raw = make_forms(database)
        workers: dict[str, Callable[[str], int]] = {
            WHIZBANG: send_add_item,
            orm.name: orm.add_item,
            raw.name: raw.add_item,
        }
        stock = make_stock(size.carts, list(workers))
        statements = count_statements(orm, raw, stock)
        contestants = [
            Contestant(name=name, run=partial(time_stock, work, stock[name]))
            for name, work in workers.items()
        ]
        series = measure_stock(contestants, rounds=size.rounds, operations=size.operations)
        check_rows()
        orm.close()
        raw.close()
    return Measured(
        version=database.version, orm=orm.name, raw=raw.name, series=series, statements=statements
    )


def make_forms(database: Database) -> tuple[Form, Form]:
    """The ORM's form and the raw driver's."""
    from benchmarks.by_hand.orm import OrmForm

    if database.vendor == "sqlite":
        from benchmarks.by_hand.raw_sqlite import SqliteForm

        return OrmForm(), SqliteForm(database.settings)
    from benchmarks.by_hand.raw_psycopg import PsycopgForm

    return OrmForm(), PsycopgForm(database.settings)


def make_stock(carts: int, names: Sequence[str]) -> dict[str, Iterator[str]]:
    """So many carts of five events for each form, each to be used once; made in bulk."""
    ids = {
        name: [f"{index}-{number}" for number in range(carts)] for index, name in enumerate(names)
    }
    # Interleaved, so that each form's rows lie as far apart as the others'.
    store_carts([cart_id for group in zip(*ids.values(), strict=True) for cart_id in group])
    analyze()
    return {name: iter(own) for name, own in ids.items()}


def store_carts(cart_ids: Sequence[str]) -> None:
    """Append their events; the inline projection makes their rows."""
    import whizbang
    from benchmarks.app.aggregates import Cart

    store, waiting = whizbang.event_store(), iter(cart_ids)
    while chunk := list(islice(waiting, CARTS_PER_APPEND)):
        store.append_many(
            whizbang.StreamAppend(
                Cart.stream_of(cart_id), make_events(cart_id), expected=whizbang.NO_STREAM
            )
            for cart_id in chunk
        )


def make_events(cart_id: str) -> list[Event]:
    from benchmarks.app.messages import CartOpened, ItemAdded

    added = [
        ItemAdded(cart_id=cart_id, sku=f"CD-{number}", quantity=number, amount=Decimal("14.99"))
        for number in range(1, EVENTS_PER_CART)
    ]
    return [CartOpened(cart_id=cart_id, customer_id="customer-7", currency="USD"), *added]


def analyze() -> None:
    """Let the database plan by what is there, before the clock starts."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def time_stock(work: Callable[[str], int], cart_ids: Iterator[str], count: int) -> float:
    taken = list(islice(cart_ids, count))
    if len(taken) < count:
        raise RuntimeError(f"{count - len(taken)} carts too few were prepared.")
    return time_each(work, taken)


def send_add_item(cart_id: str) -> int:
    import whizbang
    from benchmarks.app.messages import AddItem
    from benchmarks.by_hand.base import AMOUNT, QUANTITY, SKU

    return whizbang.send(AddItem(cart_id=cart_id, sku=SKU, quantity=QUANTITY, amount=AMOUNT))


def count_statements(orm: Form, raw: Form, stock: dict[str, Iterator[str]]) -> dict[str, int]:
    """How many statements each form sends, BEGIN and COMMIT included; on the first of its carts."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        send_add_item(next(stock[WHIZBANG]))
    return {
        WHIZBANG: len(captured),
        orm.name: orm.count_statements(next(stock[orm.name])),
        raw.name: raw.count_statements(next(stock[raw.name])),
    }


def check_rows() -> None:
    """Every cart used has six events and a row that says so: no form has done less than the others."""
    from django.db.models import Count

    from benchmarks.app.models import CartSummary
    from whizbang.models import StoredEvent

    rows = CartSummary.objects.values("items", "quantity", "total").annotate(n=Count("cart_id"))
    if len(rows.order_by()) != 1:
        raise RuntimeError(f"The forms left different rows: {list(rows.order_by())}")
    carts = CartSummary.objects.count()
    written = StoredEvent.objects.filter(version=EVENTS_PER_CART + 1).count()
    if written != carts:
        raise RuntimeError(f"There are {carts} carts, but {written} streams were written to.")


def describe(vendor: str, measured: Measured) -> list[Figure]:
    return [
        Figure(
            table=f"one command, {vendor}",
            name=name,
            values={
                "median_us": series.median_seconds * 1e6,
                "spread_percent": series.spread_percent,
                "per_second": 1 / series.median_seconds,
                "our_rate_over_its": measured.rate_of(name),
                "statements": measured.statements[name],
            },
        )
        for name, series in measured.series.items()
    ]


def judge(vendor: str, measured: Measured | None) -> list[Goal]:
    against_orm = None if measured is None else measured.rate_of(measured.orm)
    against_raw = None if measured is None else measured.rate_of(measured.raw)
    more = None if measured is None else count_more(measured)
    return [
        at_least(f"rate over the ORM form's, {vendor}", against_orm, MIN_OF_ORM),
        at_least(f"rate over the raw form's, {vendor}", against_raw, MIN_OF_RAW),
        at_most(f"round trips more than the raw form, {vendor}", more, 0),
    ]


def count_more(measured: Measured) -> int:
    return measured.statements[WHIZBANG] - measured.statements[measured.raw]
