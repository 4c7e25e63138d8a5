"""What an operator can see of sagas, and do about them."""
