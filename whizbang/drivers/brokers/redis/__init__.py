from __future__ import annotations

from whizbang.drivers.brokers.redis.broker import RedisBroker

__all__ = ["RedisBroker"]
