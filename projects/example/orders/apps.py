from __future__ import annotations

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "projects.example.orders"
    label = "orders"
