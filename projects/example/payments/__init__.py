"""Charging what was reserved."""
