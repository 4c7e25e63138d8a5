"""Sagas: which there are, what each has been through, what it waits for, and mending it."""
