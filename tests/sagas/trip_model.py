"""What TripBooking should do, in plain Python: no events, no rows, no workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

DAY = timedelta(days=1)
Sent = tuple[str, dict[str, Any]]


@dataclass
class ModelTrip:
    """One trip, and the events that wait for it while it is set aside."""

    key: str
    status: str = "none"
    price: int = 0
    notes: list[str] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    undo: list[Sent] = field(default_factory=list)
    due: timedelta | None = None
    waiting: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def is_parked(self) -> bool:
        return bool(self.waiting)

    @property
    def state(self) -> dict[str, Any]:
        return {"trip_id": self.key, "price": self.price, "notes": self.notes}

    def hear(self, kind: str, value: Any, now: timedelta) -> None:
        is_new = self.status == "none"
        if self.is_parked or (kind == "noted" and value == "break" and self.status == "open"):
            self.waiting.append((kind, value))
        elif self.status == "open" or (is_new and kind == "requested"):
            getattr(self, f"_{kind}")(value, now)

    def skip(self, now: timedelta) -> None:
        """Leave the event out that it is set aside for, and hear what has come since."""
        later, self.waiting = self.waiting[1:], []
        for kind, value in later:
            self.hear(kind, value, now)

    def pass_time(self, now: timedelta) -> None:
        if (
            self.status == "open"
            and not self.is_parked
            and self.due is not None
            and self.due <= now
        ):
            self._fail()

    def _requested(self, price: int, now: timedelta) -> None:
        self.status, self.price, self.due = "open", price, now + DAY
        self._send("ReserveSeat", seat="1a")

    def _reserved(self, value: None, now: timedelta) -> None:
        self.undo.append(("trips.ReleaseSeat", {"trip_id": self.key, "seat": "1a"}))
        self._send("ChargeCard", price=self.price)

    def _refused(self, value: None, now: timedelta) -> None:
        self._fail()

    def _charged(self, price: int, now: timedelta) -> None:
        self.undo.append(("trips.RefundCard", {"trip_id": self.key, "price": price}))
        self.due = None
        self._send("ConfirmTrip")

    def _confirmed(self, value: None, now: timedelta) -> None:
        self.status, self.due = "completed", None

    def _noted(self, text: str, now: timedelta) -> None:
        self.notes = [*self.notes, text]
        if text == "fail":
            self._fail()

    def _send(self, name: str, **data: Any) -> None:
        self.sent.append((f"trips.{name}", {"trip_id": self.key, **data}))

    def _fail(self) -> None:
        self.status, self.due = "failed", None
        self.sent += reversed(self.undo)
