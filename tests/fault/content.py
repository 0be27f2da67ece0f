"""Records of known content: who a record is stands in a header, and its value follows from that."""

import hashlib
import typing

HEADER = "fault-id"
COPY, DEAD = "copy", "dead"


class Key(typing.NamedTuple):
    """A source partition of one life of its topic: a topic that is made anew is another one."""

    topic: str
    life: int
    partition: int

    def __str__(self):
        return f"{self.topic}-{self.partition}" + (f" (life {self.life})" if self.life else "")


class Identity(typing.NamedTuple):
    """One record, and where it must arrive: on the target, or among the dead letters."""

    key: Key
    number: int
    fate: str = COPY

    def encode(self):
        topic, life, partition = self.key
        return f"{topic}|{life}|{partition}|{self.number}|{self.fate}".encode()


def decode(data):
    topic, life, partition, number, fate = data.decode().split("|")
    return Identity(Key(topic, int(life), int(partition)), int(number), fate)


def body(identity):
    """64 to 447 bytes that follow from the identity."""
    digest = hashlib.blake2b(identity).hexdigest().encode()
    return (digest * 4)[:64 + int.from_bytes(digest[:4], "big") % 384]


def identity_of(headers):
    """The encoded identity among a record's headers, or None."""
    return next((value for name, value in headers if name == HEADER), None)
