from __future__ import annotations

from datetime import timedelta

from tests.trips.messages import (
    CardCharged,
    CardDeclined,
    ChargeCard,
    ConfirmTrip,
    RefundCard,
    ReleaseSeat,
    ReserveSeat,
    SeatRefused,
    SeatReserved,
    TripConfirmed,
    TripNoted,
    TripRequested,
)
from whizbang import Saga, on, on_timeout, starts_on


class TripBooking(Saga):
    trip_id: str
    price: int = 0
    notes: list[str] = []

    @starts_on(TripRequested, by="trip_id")
    def requested(self, event: TripRequested) -> None:
        self.price = event.price
        self.send(ReserveSeat(trip_id=self.trip_id, seat=event.seat))
        self.timeout("unpaid", after=timedelta(days=1))

    @on(SeatReserved, by="trip_id")
    async def reserved(self, event: SeatReserved) -> None:
        self.compensate_with(ReleaseSeat(trip_id=self.trip_id, seat=event.seat))
        self.send(ChargeCard(trip_id=self.trip_id, price=self.price))

    @on(SeatRefused, by="trip_id")
    def refused(self, event: SeatRefused) -> None:
        self.fail("no seat")

    @on(CardCharged, by="trip_id")
    def charged(self, event: CardCharged) -> None:
        self.compensate_with(RefundCard(trip_id=self.trip_id, price=event.price))
        self.cancel_timeout("unpaid")
        self.send(ConfirmTrip(trip_id=self.trip_id))

    @on(CardDeclined, by="trip_id")
    def declined(self, event: CardDeclined) -> None:
        self.fail("the card was declined")

    @on(TripConfirmed, by="trip_id")
    def confirmed(self, event: TripConfirmed) -> None:
        self.complete()

    @on(TripNoted, by="trip_id")
    def noted(self, event: TripNoted) -> None:
        self.notes.append(event.text)
        if event.text == "break":
            raise RuntimeError("The saga cannot stand this note.")
        if event.text == "fail":
            self.fail("because of a note")

    @on_timeout("unpaid")
    def unpaid(self) -> None:
        self.fail("not paid in time")
