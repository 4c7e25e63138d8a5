"""Four steps that another domain takes, one after the other."""

from __future__ import annotations

from whizbang import Command, Event, owned_by

STEPS = "steps"  # the domain of who takes them


class BookingRequested(Event):
    booking_id: str


class ReminderRequested(Event):
    reminder_id: str


@owned_by(STEPS)
class ReserveSeat(Command[None]):
    booking_id: str


@owned_by(STEPS)
class ChargeCard(Command[None]):
    booking_id: str


@owned_by(STEPS)
class PrintTicket(Command[None]):
    booking_id: str


@owned_by(STEPS)
class SendTicket(Command[None]):
    booking_id: str


@owned_by(STEPS)
class SeatReserved(Event):
    booking_id: str


@owned_by(STEPS)
class CardCharged(Event):
    booking_id: str


@owned_by(STEPS)
class TicketPrinted(Event):
    booking_id: str


@owned_by(STEPS)
class TicketSent(Event):
    booking_id: str
