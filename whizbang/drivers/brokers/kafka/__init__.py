"""Kafka as a broker."""

from __future__ import annotations

from whizbang.drivers.brokers.kafka.broker import KafkaBroker

__all__ = ["KafkaBroker"]
