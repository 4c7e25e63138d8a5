"""A picture of a saga, drawn from its code."""
