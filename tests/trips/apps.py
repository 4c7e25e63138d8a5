from __future__ import annotations

from django.apps import AppConfig


class TripsConfig(AppConfig):
    name = "tests.trips"
    label = "trips"
