"""Follows the target while the bridge runs: how far each source partition has arrived.

For knowing when the copy has caught up and which fault a repeat belongs to. The verdict is the
audit's, which reads everything anew.
"""

import threading
import time

import confluent_kafka

import content
from load import ABORTED, FAILED

LOOK_FOR_PARTITIONS = 1.0
GONE = (FAILED, ABORTED)  # nobody waits for these


class Watch(threading.Thread):
    """topics: those of the target, dead letters included.

    whole: opens a dead letter that was sealed whole, and returns its headers
    """

    def __init__(self, cluster, topics, load, isolation, whole):
        super().__init__(daemon=True, name="watch")
        self._cluster, self._topics, self._load, self._whole = cluster, topics, load, whole
        self._isolation = isolation
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._seen = {}  # Key -> a byte for each record: 1 when it has arrived
        self._frontier = {}
        self.arrived = 0
        self.repeats = 0
        self.trouble = None

    def stop(self):
        self._stopping.set()
        self.join(20)

    def missing(self, mark):
        """{Key: how many records of `mark` have not arrived}, without those that have."""
        short = {}
        for key, wanted in mark.items():
            with self._lock:
                at = self._frontier.get(key, 0)
                seen = self._seen.get(key, b"")
                state = self._load.states[key]
                while at < wanted and ((at < len(seen) and seen[at]) or state[at] in GONE):
                    at += 1
                self._frontier[key] = at
            if at < wanted:
                short[key] = wanted - at
        return short

    # --- The thread ----------------------------------------------------------------------------

    def run(self):
        try:
            self._work()
        except Exception as error:
            self.trouble = error

    def _work(self):
        consumer = confluent_kafka.Consumer(self._cluster.client(**{
            "group.id": "fault-watch", "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "isolation.level": self._isolation, "topic.metadata.refresh.interval.ms": 1000,
            "reconnect.backoff.max.ms": 200, "fetch.error.backoff.ms": 50,
            "fetch.wait.max.ms": 50, "socket.timeout.ms": 3000, "session.timeout.ms": 6000}))
        known, look_at = set(), 0.0
        try:
            while not self._stopping.is_set():
                if time.monotonic() >= look_at:
                    self._assign_new(consumer, known)
                    look_at = time.monotonic() + LOOK_FOR_PARTITIONS
                for message in consumer.consume(2000, 0.05):
                    if message.error():
                        if message.error().fatal():
                            raise confluent_kafka.KafkaException(message.error())
                        continue
                    self._take(message)
        finally:
            consumer.close()

    def _assign_new(self, consumer, known):
        try:
            found = consumer.list_topics(timeout=1).topics
        except confluent_kafka.KafkaException:
            return  # no broker answers just now
        new = [confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING)
               for topic in self._topics if topic in found and not found[topic].error
               for p in found[topic].partitions if (topic, p) not in known]
        if new:
            consumer.incremental_assign(new)
            known.update((place.topic, place.partition) for place in new)

    def _take(self, message):
        mark = content.identity_of(message.headers() or ())
        if mark is None:
            mark = content.identity_of(self._whole(message))
        identity = content.decode(mark)
        with self._lock:
            self.arrived += 1
            seen = self._seen.setdefault(identity.key, bytearray())
            if identity.number >= len(seen):
                seen.extend(bytes(identity.number + 1 - len(seen)))
            self.repeats += seen[identity.number]
            seen[identity.number] = 1
