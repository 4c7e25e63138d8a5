"""RabbitMQ as a broker, by pika; the modules beside `broker` import it, and are loaded when it is used."""

from __future__ import annotations

from whizbang.drivers.brokers.rabbitmq.broker import RabbitMQBroker as RabbitMQBroker
