"""A saga whose methods ask for things in every way that a diagram has to read, and some that it cannot."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.trips import messages
from tests.trips.messages import (
    CardCharged,
    ChargeCard,
    ConfirmTrip,
    RefundCard,
    ReleaseSeat,
    ReserveSeat,
    TripNoted,
)
from whizbang import Command, Saga, on

LATE = "late"


def make_charge(trip_id: str) -> ChargeCard:
    return ChargeCard(trip_id=trip_id, price=1)


def make_something(trip_id: str, is_refund: bool) -> Any:
    if is_refund:
        return RefundCard(trip_id=trip_id, price=1)
    return ConfirmTrip(trip_id=trip_id)


def tell(saga: Any) -> None:
    saga.complete()


class Base(Saga):
    abstract = True
    trip_id: str = ""

    def shared(self) -> None:
        self.send(ConfirmTrip(trip_id=self.trip_id))

    def ask(self, command: Command[None], because: str = "") -> None:
        if because:
            self.fail(because)
        self.send(command)


class Drawn(Base):
    abstract = True
    pending: Any = None

    def by_module(self) -> None:
        self.send(messages.ReserveSeat(trip_id=self.trip_id, seat="1"))

    def by_variable(self) -> None:
        command = (
            ReserveSeat(trip_id="", seat="") if self.trip_id else ReleaseSeat(trip_id="", seat="")
        )
        self.send(command, delay=timedelta(hours=1))

    def by_keyword(self) -> None:
        self.send(command=ConfirmTrip(trip_id=""))
        self.timeout(name=LATE, after=timedelta(days=1))

    def by_function(self) -> None:
        self.send(make_charge(self.trip_id))
        self.compensate_with(make_something("", True), make_something("", False))

    def by_import(self) -> None:
        from tests.trips.messages import RefundCard as Refund

        self.send(Refund(trip_id="", price=1))

    def by_helper(self) -> None:
        self.ask(ConfirmTrip(trip_id=""))
        self.ask(ReserveSeat(trip_id="", seat=""), because="too late")

    def by_super(self) -> None:
        super().shared()

    def shared(self) -> None:
        super().shared()
        self.complete()

    def again_and_again(self) -> None:
        self.cancel_timeout(LATE)
        self.again_and_again()
        for _ in range(2):
            self.cancel_timeout(LATE)

    def nested(self) -> None:
        def inner() -> None:
            self.send(ConfirmTrip(trip_id=""))

        inner()

    def otherwise_called(this) -> None:
        this.complete()

    def unknown_command(self) -> None:
        self.send(self.pending)
        self.compensate_with(*self.pending)

    def unknown_names(self) -> None:
        self.timeout(f"late-{self.trip_id}", after=timedelta(days=1))
        self.fail(f"not paid by {self.trip_id}")

    def passed_on(self) -> None:
        tell(self)
        isinstance(self, Saga)

    def verb_passed_on(self) -> None:
        list(map(self.send, self.pending))

    def renamed(self) -> None:
        me = self
        me.complete()

    def quiet(self) -> None:
        self.trip_id = "1"

    made_elsewhere = len

    def calls_what_is_no_function(self) -> None:
        self.made_elsewhere()  # type: ignore[call-arg]


class Overriding(Drawn):
    abstract = True

    @on(CardCharged, TripNoted, by="trip_id")
    def heard(self, event: Any) -> None:
        self.shared()
