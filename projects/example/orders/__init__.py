"""Taking orders, and the figures about them."""
