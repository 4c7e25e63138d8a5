from __future__ import annotations

from projects.example import process


class InventoryConfig(process.DomainConfig):
    name = "projects.example.inventory"
    label = "inventory"
