"""Names of attributes. Those that begin with `messaging` are OpenTelemetry's (semantic conventions 1.44)."""

from __future__ import annotations

SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
PARTITION = "messaging.destination.partition.id"
SUBSCRIPTION = "messaging.destination.subscription.name"
CONSUMER_GROUP = "messaging.consumer.group.name"
BATCH_COUNT = "messaging.batch.message_count"
MESSAGE_ID = "messaging.message.id"
CONVERSATION_ID = "messaging.message.conversation_id"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"

STAGE = "whizbang.stage"
MESSAGE_TYPE = "whizbang.message.type"
MESSAGE_STATUS = "whizbang.message.status"
STORE = "whizbang.store"
SUBSCRIPTION_NAME = "whizbang.subscription.name"
SUBSCRIPTION_KIND = "whizbang.subscription.kind"
SUBSCRIPTION_PARTITION = "whizbang.subscription.partition"

OWN_SYSTEM = "whizbang"  # the messaging system that a store is
