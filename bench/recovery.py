"""How long a target stands still after kill -9: a reader that watches it, and the killing."""

import signal
import struct
import threading
import time

import confluent_kafka

STAMP = struct.Struct("<q")


class Traffic:
    """A steady load to a source topic, and when its records were seen on a target topic."""

    def __init__(self, broker, source, target, partitions, rate=2_000):
        self._broker, self._source, self._target = broker, source, target
        self._partitions, self._rate = partitions, rate
        self._newest = [0] * partitions  # by partition: when the newest record seen was sent, in ns
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True)
                         for work in (self._produce, self._watch)]
        for thread in self._threads:
            thread.start()

    def _produce(self):
        producer = confluent_kafka.Producer(self._broker.client(**{"linger.ms": 1}))
        number, began = 0, time.monotonic()
        while not self._over.is_set():
            while number < (time.monotonic() - began) * self._rate:
                producer.produce(self._source, STAMP.pack(time.monotonic_ns()),
                                 partition=number % self._partitions)
                number += 1
            producer.poll(0)
            time.sleep(0.002)
        producer.flush(10)

    def _watch(self):
        consumer = confluent_kafka.Consumer(self._broker.client(
            **{"group.id": "bench", "isolation.level": "read_committed",
               "enable.auto.commit": False, "fetch.wait.max.ms": 10}))
        consumer.assign([confluent_kafka.TopicPartition(self._target, p, 0)
                         for p in range(self._partitions)])
        while not self._over.is_set():
            for message in consumer.consume(1000, 0.01):
                if message.error() is None:
                    sent = STAMP.unpack(message.value())[0]
                    self._newest[message.partition()] = max(self._newest[message.partition()], sent)
        consumer.close()

    def wait_past(self, moment, limit=90):
        """Until each partition has shown a record that was sent after a moment; seconds since."""
        while min(self._newest) <= moment:
            if time.monotonic_ns() - moment > limit * 1e9:
                raise RuntimeError(f"nothing new on {self._target} for {limit} s")
            time.sleep(0.002)
        return (time.monotonic_ns() - moment) / 1e9

    def close(self):
        self._over.set()
        for thread in self._threads:
            thread.join()


def kill(traffic, process):
    """kill -9. When, in ns."""
    traffic.wait_past(time.monotonic_ns())
    moment = time.monotonic_ns()
    process.send_signal(signal.SIGKILL)
    process.wait()
    return moment
