from __future__ import annotations

from benchmarks.booking.messages import (
    CardCharged,
    ChargeCard,
    PrintTicket,
    ReserveSeat,
    SeatReserved,
    SendTicket,
    TicketPrinted,
    TicketSent,
)
from whizbang import Context, handles


@handles(ReserveSeat)
def reserve_seat(command: ReserveSeat, context: Context) -> None:
    event = SeatReserved(booking_id=command.booking_id)
    context.record(f"steps.Seat-{command.booking_id}", event)


@handles(ChargeCard)
def charge_card(command: ChargeCard, context: Context) -> None:
    event = CardCharged(booking_id=command.booking_id)
    context.record(f"steps.Card-{command.booking_id}", event)


@handles(PrintTicket)
def print_ticket(command: PrintTicket, context: Context) -> None:
    event = TicketPrinted(booking_id=command.booking_id)
    context.record(f"steps.Ticket-{command.booking_id}", event)


@handles(SendTicket)
def send_ticket(command: SendTicket, context: Context) -> None:
    event = TicketSent(booking_id=command.booking_id)
    context.record(f"steps.Ticket-{command.booking_id}", event)
