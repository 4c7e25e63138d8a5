"""`saga`: instances, their stories, and what an operator does about them."""
