"""Ways to bring a read model from a log: a rebuild of ours, the loop by hand, a worker that follows."""
