"""Long processes: they hear events, remember, send commands and wait for time to pass."""
