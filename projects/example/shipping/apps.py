from __future__ import annotations

from projects.example import process


class ShippingConfig(process.DomainConfig):
    name = "projects.example.shipping"
    label = "shipping"
