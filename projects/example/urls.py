"""The shop's home page and the admin with its operations console."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("projects.example.orders.urls")),
    path("admin/", admin.site.urls),
]
