"""Messages that wait, that were handled, and that were given up."""
