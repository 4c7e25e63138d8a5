from __future__ import annotations

from datetime import timedelta

from benchmarks.booking.messages import (
    BookingRequested,
    CardCharged,
    ChargeCard,
    PrintTicket,
    ReminderRequested,
    ReserveSeat,
    SeatReserved,
    SendTicket,
    TicketPrinted,
    TicketSent,
)
from whizbang import Saga, on, on_timeout, starts_on


class Booking(Saga):
    booking_id: str
    steps: int = 0

    @starts_on(BookingRequested, by="booking_id")
    def requested(self, event: BookingRequested) -> None:
        self.send(ReserveSeat(booking_id=self.booking_id))

    @on(SeatReserved, by="booking_id")
    def reserved(self, event: SeatReserved) -> None:
        self.steps = 1
        self.send(ChargeCard(booking_id=self.booking_id))

    @on(CardCharged, by="booking_id")
    def charged(self, event: CardCharged) -> None:
        self.steps = 2
        self.send(PrintTicket(booking_id=self.booking_id))

    @on(TicketPrinted, by="booking_id")
    def printed(self, event: TicketPrinted) -> None:
        self.steps = 3
        self.send(SendTicket(booking_id=self.booking_id))

    @on(TicketSent, by="booking_id")
    def sent(self, event: TicketSent) -> None:
        self.steps = 4
        self.complete()


class Reminder(Saga):
    """Does nothing but wait for its time to be over."""

    reminder_id: str

    @starts_on(ReminderRequested, by="reminder_id")
    def requested(self, event: ReminderRequested) -> None:
        self.timeout("over", after=timedelta(days=1))

    @on_timeout("over")
    def over(self) -> None:
        self.complete()
