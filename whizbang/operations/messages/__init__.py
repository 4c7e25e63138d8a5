"""Messages that wait: to be handled here, or to be sent elsewhere. Looking at them, and deciding about them."""
