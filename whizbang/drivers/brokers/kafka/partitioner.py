"""Which partition of a topic a key goes to, as Kafka's own producer and librdkafka's `murmur2` have it."""

from __future__ import annotations

_MIX, _SEED, _WORD = 0x5BD1E995, 0x9747B28C, 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


def _murmur2(data: bytes) -> int:
    """https://github.com/apache/kafka/blob/3.9/clients/src/main/java/org/apache/kafka/common/utils/Utils.java"""
    found = (_SEED ^ len(data)) & _WORD
    whole = len(data) - len(data) % 4
    for at in range(0, whole, 4):
        word = (int.from_bytes(data[at : at + 4], "little") * _MIX) & _WORD
        word = ((word ^ (word >> 24)) * _MIX) & _WORD
        found = ((found * _MIX) & _WORD) ^ word
    if rest := data[whole:]:
        found = ((found ^ int.from_bytes(rest, "little")) * _MIX) & _WORD
    found = ((found ^ (found >> 13)) * _MIX) & _WORD
    return found ^ (found >> 15)
