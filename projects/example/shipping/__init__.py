"""Shipping what was paid."""
