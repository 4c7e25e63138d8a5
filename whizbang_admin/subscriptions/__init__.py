"""Subscriptions and projections: where they stand, and changing and mending them."""
