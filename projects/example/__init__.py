"""A shop in four domains: orders, inventory, payments and shipping.

Read orders/messages.py first, then orders/aggregates.py, handlers.py and projections.py; the other
three apps have the same shape and react to each other's events.
"""
