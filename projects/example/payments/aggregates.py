"""The rules of one order's payment. Asked twice, it answers once."""

from __future__ import annotations

from decimal import Decimal

from projects.example.payments.messages import (
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
)
from whizbang import Aggregate, applies


class Payment(Aggregate):
    status: str = "new"
    charged: Decimal = Decimal(0)

    def charge(self, *, amount: Decimal, currency: str) -> None:
        if self.status == "new":
            self.record(PaymentCharged(order_id=self.id, amount=amount, currency=currency))

    def decline(self) -> None:
        if self.status == "new":
            self.record(PaymentDeclined(order_id=self.id))

    def refund(self) -> None:
        """Closes the payment even if nothing is charged yet: a late ChargePayment finds it so."""
        if self.status in ("new", "charged"):
            self.record(PaymentRefunded(order_id=self.id, amount=self.charged))

    @applies(PaymentCharged)
    def _charged(self, event: PaymentCharged) -> None:
        self.status = "charged"
        self.charged = event.amount

    @applies(PaymentDeclined)
    def _declined(self, event: PaymentDeclined) -> None:
        self.status = "declined"

    @applies(PaymentRefunded)
    def _refunded(self, event: PaymentRefunded) -> None:
        self.status = "refunded"
        self.charged = Decimal(0)
