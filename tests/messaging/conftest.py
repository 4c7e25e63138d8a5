from tests.messaging.handlers import declare

__all__ = ["declare"]
