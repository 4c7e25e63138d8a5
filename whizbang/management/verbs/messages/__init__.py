"""`inbox` and `outbox`: messages that wait."""
