from __future__ import annotations

from django.apps import AppConfig


class BookingConfig(AppConfig):
    name = "benchmarks.booking"
    label = "booking"
    default_auto_field = "django.db.models.BigAutoField"
