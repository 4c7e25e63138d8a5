"""The work of `AddItem` without the library: the same rows read and written, in one transaction.

Each form reads the cart's events with their payloads decoded, folds them, refuses a cart that is full,
appends one event with the same columns and metadata, locks the cart's row and updates it.
"""
