from __future__ import annotations

from tests.trips.messages import (
    CardCharged,
    CardDeclined,
    CardRefunded,
    ChargeCard,
    ConfirmTrip,
    RefundCard,
    ReleaseSeat,
    RequestTrip,
    ReserveSeat,
    SeatRefused,
    SeatReleased,
    SeatReserved,
    TripConfirmed,
    TripRequested,
)
from whizbang import Context, handles


@handles(RequestTrip)
def request_trip(command: RequestTrip, context: Context) -> None:
    event = TripRequested(trip_id=command.trip_id, seat=command.seat, price=command.price)
    context.record(f"trips.Trip-{command.trip_id}", event)


@handles(ReserveSeat)
def reserve_seat(command: ReserveSeat, context: Context) -> None:
    kind = SeatRefused if command.seat == "none" else SeatReserved
    event = kind(trip_id=command.trip_id, seat=command.seat)
    context.record(f"trips.Seat-{command.seat}", event)


@handles(ReleaseSeat)
def release_seat(command: ReleaseSeat, context: Context) -> None:
    event = SeatReleased(trip_id=command.trip_id, seat=command.seat)
    context.record(f"trips.Seat-{command.seat}", event)


@handles(ChargeCard)
def charge_card(command: ChargeCard, context: Context) -> None:
    stream = f"trips.Card-{command.trip_id}"
    if command.price > 100:
        context.record(stream, CardDeclined(trip_id=command.trip_id))
    elif command.price:
        context.record(stream, CardCharged(trip_id=command.trip_id, price=command.price))


@handles(RefundCard)
def refund_card(command: RefundCard, context: Context) -> None:
    event = CardRefunded(trip_id=command.trip_id, price=command.price)
    context.record(f"trips.Card-{command.trip_id}", event)


@handles(ConfirmTrip)
def confirm_trip(command: ConfirmTrip, context: Context) -> None:
    context.record(f"trips.Trip-{command.trip_id}", TripConfirmed(trip_id=command.trip_id))
