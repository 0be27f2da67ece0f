"""The live load: an idempotent producer that is not the bridge's, and its own account of it."""

import dataclasses
import functools
import os
import threading
import time

import confluent_kafka

import content
from harness import wait_until
from harness.keyring import KEYS_HEADER, envelope
from transactions import Transactions

SENT, ACKNOWLEDGED, FAILED, ABORTED = 0, 1, 2, 3
TICK = 0.05
RECORDS_PER_DATA_KEY = 100
# The client has not heard of a topic or partition that was just made.
NOT_YET_KNOWN = (confluent_kafka.KafkaError._UNKNOWN_PARTITION,
                 confluent_kafka.KafkaError._UNKNOWN_TOPIC)
LARGE = 150_000  # more than the target takes, see world.py


@dataclasses.dataclass
class Stream:
    """One topic: how many records a second, into how many partitions, sealed or not."""

    topic: str
    rate: int
    partitions: int
    sealed: bool = False
    life: int = 0
    paused: bool = False


class Load(threading.Thread):
    """Writes to every stream until stopped.

    transactional  the stream that is written to in transactions, too
    states         {Key: a byte for each record: SENT, ACKNOWLEDGED, FAILED or ABORTED}. What failed
                   is unknown: it may be in the source, or not.
    """

    OUTCOMES = {"committed": ACKNOWLEDGED, "aborted": ABORTED, "unknown": FAILED}

    def __init__(self, cluster, streams, transactional, ring, dataset):
        super().__init__(daemon=True, name="load")
        self._cluster, self._ring, self._dataset = cluster, ring, dataset
        self.streams = {stream.topic: stream for stream in streams}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.states = {}
        self._extra = []  # (topic, kind) of records beside the rate; None: an ordinary one
        self._data_key = None
        self._sealed = 0
        self.trouble = None  # what ended the thread
        self._producer = None
        self._transactions = Transactions(cluster, self, transactional)

    # --- What the driver asks ------------------------------------------------------------------

    def pause(self, topic):
        """No record of `topic` is under way when this returns."""
        self.streams[topic].paused = True
        deadline = time.monotonic() + 60
        while any(SENT in state for key, state in self._snapshot() if key.topic == topic):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the source does not acknowledge records of {topic}")
            time.sleep(0.05)

    def resume(self, topic):
        self.streams[topic].paused = False

    def grow(self, topic, partitions):
        self.streams[topic].partitions = partitions

    def renew(self, topic):
        """Its topic was made anew."""
        self.streams[topic].life += 1

    def burst(self, topic, count):
        """Writes so many records at once."""
        with self._lock:
            self._extra += [(topic, None)] * count

    def spoil(self, topic, kind, count):
        """Mixes in records that must become dead letters: large, clear, or tampered."""
        with self._lock:
            self._extra += [(topic, kind)] * count

    def mark(self):
        """{Key: number of records up to the last acknowledged one}, as of now."""
        return {key: state.rindex(ACKNOWLEDGED) + 1 for key, state in self._snapshot()
                if ACKNOWLEDGED in state}

    def wait_alive(self, topic=None, timeout=180):
        """Returns when the source has acknowledged more records (of `topic`, in this life of it)."""
        def count():
            return sum(state.count(ACKNOWLEDGED) for key, state in self._snapshot()
                       if topic is None or key[:2] == (topic, self.streams[topic].life))

        before = count()
        wait_until(lambda: count() > before, timeout, "the source to acknowledge records")

    def _snapshot(self):
        with self._lock:
            return [(key, bytes(state)) for key, state in self.states.items()]

    def finish(self):
        """Stops, and waits for what is under way."""
        self._transactions.stop()
        self._stopping.set()
        self.join(90)
        if self.is_alive():
            raise TimeoutError("the load does not end: the source acknowledges nothing")
        self.check()

    def check(self):
        """Raises what ended the thread, or the one of the transactions."""
        for thread in (self, self._transactions):
            if thread.trouble:
                raise thread.trouble

    def count(self, state):
        return sum(states.count(state) for _, states in self._snapshot())

    # --- What the transactions ask -------------------------------------------------------------

    def enter(self, topic):
        """The next record of a stream, for fields() and settle()."""
        return self._enter(self.streams[topic])

    def fields(self, entered):
        """What Producer.produce() takes for an ordinary record."""
        key, _, number = entered
        mark = content.Identity(key, number, content.COPY).encode()
        return {"topic": key.topic, "partition": key.partition, "key": b"%d" % (number % 97),
                "value": content.body(mark), "headers": [(content.HEADER, mark)]}

    def settle(self, entered, outcome):
        with self._lock:
            for _, state, number in entered:
                state[number] = self.OUTCOMES[outcome]

    # --- The thread ----------------------------------------------------------------------------

    def run(self):
        try:
            self._transactions.start()
            self._work()
            self._transactions.join(60)
            if self._transactions.is_alive():
                raise TimeoutError("a transaction of the load does not end")
            self._close()
        except Exception as error:  # told by finish(), and by the driver's next look
            self.trouble = error

    def _work(self):
        self._renew_producer()
        started, owed = time.monotonic(), {topic: 0.0 for topic in self.streams}
        while not self._stopping.is_set():
            now = time.monotonic()
            for topic, stream in self.streams.items():
                owed[topic] = min(owed[topic] + (now - started) * stream.rate, stream.rate)
                if stream.paused:
                    owed[topic] = 0.0
                while owed[topic] >= 1:
                    owed[topic] -= 1
                    self._send(stream)
            started = now
            with self._lock:
                extra, self._extra = self._extra, []
            for topic, kind in extra:
                self._send(self.streams[topic], kind)
            self._producer.poll(TICK)
        for _ in range(60):
            if self._producer.flush(1) == 0:
                break

    def _close(self):
        with self._lock:
            for state in self.states.values():
                state[:] = state.replace(bytes([SENT]), bytes([FAILED]))

    def _renew_producer(self):
        self._producer = confluent_kafka.Producer(self._cluster.client(
            acks="all", **{"enable.idempotence": True, "linger.ms": 5,
                           "message.max.bytes": 2_000_000, "reconnect.backoff.max.ms": 300, "socket.timeout.ms": 6000,
                           "topic.metadata.refresh.interval.ms": 1000}))

    def _enter(self, stream):
        with self._lock:
            total = sum(len(s) for k, s in self.states.items() if k.topic == stream.topic)
            key = content.Key(stream.topic, stream.life, total % stream.partitions)
            state = self.states.setdefault(key, bytearray())
            state.append(SENT)
            return key, state, len(state) - 1

    def _send(self, stream, kind=None):
        key, state, number = self._enter(stream)
        mark = content.Identity(key, number, content.DEAD if kind else content.COPY).encode()
        headers = [(content.HEADER, mark)]
        name, value = b"%d" % (number % 97), content.body(mark)
        if kind == "large":
            value = value * (LARGE // len(value) + 1)
        elif stream.sealed and kind != "clear":
            value, block = self._seal(value, name)
            headers.append((KEYS_HEADER, block))
            if kind == "tampered":
                value = value[:-1] + bytes([value[-1] ^ 1])
        delivered = functools.partial(self._delivered, state, number)
        while True:
            try:
                self._producer.produce(stream.topic, value, name, key.partition,
                                       on_delivery=delivered, headers=headers)
                return
            except BufferError:
                self._producer.poll(0.1)
            except confluent_kafka.KafkaException as error:
                if error.args[0].code() in NOT_YET_KNOWN:
                    self._producer.poll(0.1)
                    continue
                if not error.args[0].fatal():
                    raise
                # The records under way fail by their own delivery reports.
                self._producer.purge()
                self._producer.flush(5)
                self._renew_producer()

    def _delivered(self, state, number, error, _):
        with self._lock:
            state[number] = FAILED if error else ACKNOWLEDGED

    def _seal(self, plain, key):
        if self._sealed % RECORDS_PER_DATA_KEY == 0:
            dek = os.urandom(32)
            block = envelope.encode_keys({
                self._ring.domain.encode(): self._ring.wrap(dek, self._dataset)})
            self._data_key = dek, block
        self._sealed += 1
        dek, block = self._data_key
        return envelope.seal_value(plain, dek, self._dataset, None, key), block
