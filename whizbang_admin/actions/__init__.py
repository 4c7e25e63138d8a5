"""The one page by which operators do things, and the links that lead to it."""
