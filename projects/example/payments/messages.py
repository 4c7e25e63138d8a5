"""What payments can be asked and what it tells."""

from __future__ import annotations

from decimal import Decimal

from whizbang import Command, Event


class ChargePayment(Command[None]):
    order_id: str
    amount: Decimal
    currency: str


class RefundPayment(Command[None]):
    order_id: str


class PaymentCharged(Event):
    order_id: str
    amount: Decimal
    currency: str


class PaymentDeclined(Event):
    order_id: str


class PaymentRefunded(Event):
    order_id: str
    amount: Decimal
