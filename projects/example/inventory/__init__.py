"""Reserving what was ordered."""
