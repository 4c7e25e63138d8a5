"""What happens when payments is asked for something."""

from __future__ import annotations

from projects.example.fates import Fate, fate_of
from projects.example.payments.aggregates import Payment
from projects.example.payments.messages import ChargePayment, RefundPayment
from whizbang import Context, handles


@handles(ChargePayment)
def charge_payment(command: ChargePayment, context: Context) -> None:
    fate = fate_of(command.order_id)
    if fate is Fate.UNANSWERED:
        return  # whoever waits for the bank will lose patience
    payment = context.load(Payment, command.order_id)
    if fate is Fate.DECLINED:
        payment.decline()
    else:
        payment.charge(amount=command.amount, currency=command.currency)


@handles(RefundPayment)
def refund_payment(command: RefundPayment, context: Context) -> None:
    context.load(Payment, command.order_id).refund()
