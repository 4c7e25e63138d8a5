"""What happened: events by what their metadata say, what caused what, and states of the past."""
