from __future__ import annotations

from whizbang import Command, Event


class RequestTrip(Command[None]):
    """A price over 100 is declined, one of 0 never gets an answer; the seat "none" is refused."""

    trip_id: str
    seat: str = "1a"
    price: int = 10


class ReserveSeat(Command[None]):
    trip_id: str
    seat: str


class ReleaseSeat(Command[None]):
    trip_id: str
    seat: str


class ChargeCard(Command[None]):
    trip_id: str
    price: int


class RefundCard(Command[None]):
    trip_id: str
    price: int


class ConfirmTrip(Command[None]):
    trip_id: str


class TripRequested(Event):
    trip_id: str
    seat: str
    price: int


class SeatReserved(Event):
    trip_id: str
    seat: str


class SeatRefused(Event):
    trip_id: str
    seat: str


class SeatReleased(Event):
    trip_id: str
    seat: str


class CardCharged(Event):
    trip_id: str
    price: int


class CardDeclined(Event):
    trip_id: str


class CardRefunded(Event):
    trip_id: str
    price: int


class TripConfirmed(Event):
    trip_id: str


class TripNoted(Event):
    """What the saga makes of it the text says: see TripBooking.noted()."""

    trip_id: str
    text: str
