"""How exchanges, queues and routing keys are called."""

from __future__ import annotations

from dataclasses import dataclass

MOST_BYTES = 255  # of any name in AMQP


@dataclass(frozen=True, slots=True)
class Names:
    prefix: str

    @property
    def services(self) -> str:
        """The exchange of commands and replies."""
        return f"{self.prefix}.services"

    @property
    def events(self) -> str:
        """The exchange of events."""
        return f"{self.prefix}.events"

    def queue_of(self, service: str) -> str:
        return f"{self.prefix}.{service}"

    def event_queue_of(self, service: str) -> str:
        return f"{self.prefix}.{service}.events"


def routing_key_of(domain: str, type_name: str) -> str:
    """`domain.type`, without the domain twice; cut where AMQP has no room, since the domain is what routes."""
    key = f"{_word(domain)}.{type_name.removeprefix(f'{domain}.')}"
    return key.encode()[:MOST_BYTES].decode(errors="ignore")


def binding_key_of(domain: str) -> str:
    """Every event of the domain, whatever its type is called."""
    return f"{_word(domain)}.#"


def _word(domain: str) -> str:
    # Dots part the words of a key: who listens to `orders` must not get what is of `orders.eu`.
    return domain.replace(".", "%2E")
