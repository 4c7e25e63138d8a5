"""Ways to append the same events: the library, the bare driver, and a peer."""
