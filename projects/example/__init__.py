"""A shop in four domains: orders, inventory, payments and shipping.

Read orders/messages.py first, then orders/aggregates.py, handlers.py and projections.py; the other
three apps have the same shape. How an order gets from one to the next stands in orders/sagas.py, and once more,
without a saga, in the module choreography.py of each app: see process.py. Some orders fail on purpose: see fates.py.
"""
