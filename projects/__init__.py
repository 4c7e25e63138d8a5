"""Projects built on whizbang."""
