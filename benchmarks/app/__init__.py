"""A shop's carts, as small as they can be: what the benchmarks send, load and project."""
