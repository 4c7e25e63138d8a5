"""The read models in the admin, to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from projects.example.orders.models import Customer, SalesDay, TrackedOrder

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]  # generic for type checkers only
else:
    ModelAdmin = admin.ModelAdmin


class ReadModelAdmin(ModelAdmin):
    """Rows belong to their projection: an edit would be lost in the next rebuild."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(SalesDay)
class SalesDayAdmin(ReadModelAdmin):
    list_display = ["day", "orders", "cds", "value"]
    date_hierarchy = "day"


@admin.register(Customer)
class CustomerAdmin(ReadModelAdmin):
    list_display = ["customer_id", "orders", "cds", "value"]
    search_fields = ["=customer_id"]


@admin.register(TrackedOrder)
class TrackedOrderAdmin(ReadModelAdmin):
    list_display = [
        "order_id",
        "customer_id",
        "quantity",
        "total",
        "status",
        "cancel_reason",
        "ordered_at",
    ]
    list_filter = ["status"]
    search_fields = ["=order_id", "=customer_id"]
