from __future__ import annotations

from django.urls import path

from projects.example.orders.views import home

urlpatterns = [path("", home, name="home")]
