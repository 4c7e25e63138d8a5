"""The example's import of the CDNOW orders, until its two sales projections stand at the head."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks import databases, machine, shop
from benchmarks.child import run_in_child
from benchmarks.memory import read_peak_mib
from benchmarks.options import Options
from benchmarks.report import Cell, Figure, Goal, Report, at_least

if TYPE_CHECKING:
    from projects.example.orders.progress import Progress

BATCH_SIZE = 5_000
POLL_SECONDS = 0.1
MIN_ORDERS_PER_SECOND = 3_000

ONE_PROCESS, WITH_WORKER = "one process", "worker beside the importer"
FORMS = (ONE_PROCESS, WITH_WORKER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many orders (None: all), and after how long a run is given up."""

    sales_orders: int | None
    flow_orders: int | None
    max_seconds: float


DEFAULT = Size(sales_orders=None, flow_orders=20_000, max_seconds=38)
FULL = Size(sales_orders=None, flow_orders=None, max_seconds=3_600)
SMOKE = Size(sales_orders=200, flow_orders=50, max_seconds=60)


class TookTooLong(Exception):
    """A run was given up: what it was, and how far it had come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One run. Peaks are of the process that does the work."""

    version: str
    orders: int
    seconds: float
    peak_mib_at_quarter: float | None
    peak_mib_at_end: float | None

    @property
    def per_second(self) -> float:
        return self.orders / self.seconds


@dataclass(slots=True, kw_only=True)
class Watch:
    """Waits for the read models, and keeps the peak memory at the first quarter of the orders."""

    orders: int
    worker: shop.WorkerProcess | None
    count_done: Callable[[], int]
    max_seconds: float
    started: float = field(default_factory=time.monotonic)
    peak_mib_at_quarter: float | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def read_peak_mib(self) -> float | None:
        """Of the process that does the work."""
        return read_peak_mib(self.worker.pid if self.worker else "self")

    def look(self) -> bool:
        """Are all orders in the read models?"""
        if self.worker is not None:
            self.worker.check()
        done = self.count_done()
        if self.peak_mib_at_quarter is None and done >= self.orders / 4:
            self.peak_mib_at_quarter = self.read_peak_mib()
        if done < self.orders and self.seconds > self.max_seconds:
            raise TookTooLong(f"{done:,} of {self.orders:,} orders in {self.seconds:.0f} s")
        return done >= self.orders

    def wait(self) -> None:
        while not self.look():
            time.sleep(POLL_SECONDS)


Key = tuple[str, str]  # database, form


def run(options: Options) -> Report:
    size = SMOKE if options.smoke else FULL if options.full else DEFAULT
    vendors = [vendor for vendor in databases.VENDORS if databases.is_available(vendor)]
    notes: list[str] = []
    sales = {
        (vendor, form): _try(notes, measure_sales, vendor, form, size)
        for vendor in vendors
        for form in FORMS
    }
    flow = {(vendor, ONE_PROCESS): _try(notes, measure_flow, vendor, size) for vendor in vendors}
    return Report(
        benchmark="cdnow",
        machine=machine.describe(**versions({**sales, **flow})),
        figures=[
            *describe("import and two sales projections", sales),
            *describe("import through orders, inventory, payments and shipping", flow),
        ],
        goals=[judge(vendor, sales) for vendor in databases.VENDORS],
        notes=[*notes, *note_part(size), *databases.note_absent()],
    )


def _try(notes: list[str], measure: Callable[..., Imported], *args: Any) -> Imported | None:
    """In a process of its own; a run that takes too long is noted, and the others go on."""
    try:
        return run_in_child(measure, *args)
    except TookTooLong as exc:
        what = ", ".join(arg for arg in args if isinstance(arg, str))
        notes.append(f"{measure.__name__} ({what}) was given up: {exc}")
        return None


def measure_sales(vendor: str, form: str, size: Size) -> Imported:
    """From the first publish until both sales projections have every order."""
    with databases.make(vendor) as database, shop.set_up(database, is_whole_flow=False):
        imported = import_orders(
            database.version,
            orders=count_orders(size.sales_orders),
            count_done=count_in_sales,
            has_worker=form == WITH_WORKER,
            max_seconds=size.max_seconds,
        )
        check_sales(imported.orders)
        return imported


def measure_flow(vendor: str, size: Size) -> Imported:
    """From the first publish until every order is shipped, and the read models say so."""
    with databases.make(vendor) as database, shop.set_up(database, is_whole_flow=True):
        return import_orders(
            database.version,
            orders=count_orders(size.flow_orders),
            count_done=count_shipped,
            has_worker=False,
            max_seconds=size.max_seconds,
        )


def count_orders(limit: int | None) -> int:
    from projects.example.orders.cdnow import count_lines, find_file

    return count_lines(find_file(), limit=limit)


def count_in_sales() -> int:
    """Orders that both sales projections have."""
    from django.db.models import Sum

    from projects.example.orders.models import Customer, SalesDay

    totals = [m.objects.aggregate(n=Sum("orders"))["n"] or 0 for m in (SalesDay, Customer)]
    return min(totals)


def check_sales(orders: int) -> None:
    """Raise when the read models do not say what the file says."""
    from projects.example.orders.cdnow import Purchase, find_file, read_lines
    from projects.example.orders.models import Customer, SalesDay

    lines = [p for p in read_lines(find_file(), limit=orders) if isinstance(p, Purchase)]
    facts = (len(lines), sum(p.cds for p in lines), sum(p.value for p in lines))
    for model in (SalesDay, Customer):
        # Added up here: SQLite would add the decimals as floats.
        rows = model.objects.values_list("orders", "cds", "value")
        found = tuple(sum(column) for column in zip(*rows, strict=True))
        if found != facts:
            raise RuntimeError(f"{model.__name__} says {found}, the file says {facts}.")


def count_shipped() -> int:
    from projects.example.orders.models import TrackedOrder

    return TrackedOrder.objects.filter(status=TrackedOrder.Status.SHIPPED).count()


def import_orders(
    version: str,
    *,
    orders: int,
    count_done: Callable[[], int],
    has_worker: bool,
    max_seconds: float,
) -> Imported:
    from projects.example.orders.cdnow import find_file
    from projects.example.orders.draining import drain
    from projects.example.orders.importing import import_cdnow

    with ExitStack() as stack:
        worker = stack.enter_context(shop.WorkerProcess()) if has_worker else None
        watch = Watch(orders=orders, worker=worker, count_done=count_done, max_seconds=max_seconds)
        import_cdnow(
            find_file(),
            progress=make_progress(watch),
            batch_size=min(BATCH_SIZE, max(1, orders // 4)),
            limit=orders,
            after_batch=None if has_worker else drain,
        )
        watch.wait()
        return Imported(
            version=version,
            orders=orders,
            seconds=watch.seconds,
            peak_mib_at_quarter=watch.peak_mib_at_quarter,
            peak_mib_at_end=watch.read_peak_mib(),
        )


def make_progress(watch: Watch) -> Progress:
    """Tells nobody, but looks after each batch."""
    from projects.example.orders.progress import Progress

    class Silent(Progress):
        def advance(self, count: int) -> None:
            watch.look()

    return Silent(io.StringIO(), total=watch.orders)


def versions(runs: dict[Key, Imported | None]) -> dict[str, str]:
    return {vendor: done.version for (vendor, _), done in runs.items() if done is not None}


def describe(table: str, runs: dict[Key, Imported | None]) -> list[Figure]:
    return [
        Figure(table=table, name=f"{vendor}, {form}", values=_values(done))
        for (vendor, form), done in runs.items()
        if done is not None
    ]


def _values(done: Imported) -> dict[str, Cell]:
    return {
        "orders": done.orders,
        "seconds": done.seconds,
        "orders_per_second": done.per_second,
        "peak_mib_at_quarter": done.peak_mib_at_quarter,
        "peak_mib_at_end": done.peak_mib_at_end,
    }


def judge(vendor: str, sales: dict[Key, Imported | None]) -> Goal:
    """By the quicker form: which one that is depends on the database."""
    rates = [done.per_second for (v, _), done in sales.items() if v == vendor and done is not None]
    name = f"import with two projections, {vendor}"
    return at_least(name, max(rates, default=None), MIN_ORDERS_PER_SECOND, " orders/s")


def note_part(size: Size) -> list[str]:
    return [
        f"only {orders:,} orders {where}; --full takes all"
        for orders, where in (
            (size.sales_orders, "for the sales projections"),
            (size.flow_orders, "through the whole flow"),
        )
        if orders is not None
    ]
