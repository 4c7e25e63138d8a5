from __future__ import annotations

from projects.example import process


class PaymentsConfig(process.DomainConfig):
    name = "projects.example.payments"
    label = "payments"
