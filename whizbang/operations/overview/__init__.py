"""Is everything well? What a worker measures now and then, which workers there are, and what that says."""
