"""Services, domains, and who sends and hears what."""
