"""What happened: streams, events, and what caused what."""
