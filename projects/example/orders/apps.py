from __future__ import annotations

from projects.example import process


class OrdersConfig(process.DomainConfig):
    name = "projects.example.orders"
    label = "orders"
