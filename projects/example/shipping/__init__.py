"""Shipping what was paid and confirmed."""
