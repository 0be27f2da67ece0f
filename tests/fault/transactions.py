"""Load in transactions, some of them aborted: what an aborted one holds must not be copied."""

import random
import threading
import time

import confluent_kafka

ABORTED_SHARE = 0.3
LARGEST = 40          # records in a transaction
LONGEST = 0.2         # seconds that one stays open: readers of its partitions wait for that long
BETWEEN = 0.3         # seconds to the next one, at most
TIMEOUT_MS = 10_000   # after which the broker aborts what a broken producer left open
CALL = 5.0            # seconds for one call; a call that is not answered is made again
PAUSE = 0.1


class Transactions(threading.Thread):
    """Writes to one stream of `load` in transactions until stopped.

    Records count as acknowledged when they are committed. Where a commit has no answer, they are
    unknown: in the source, or not.
    """

    def __init__(self, cluster, load, topic):
        super().__init__(daemon=True, name="transactions")
        self._cluster, self._load, self._topic = cluster, load, topic
        self._stopping = threading.Event()
        self._rng = random.Random(topic)
        self.trouble = None

    def stop(self):
        self._stopping.set()

    def run(self):
        try:
            producer = None
            while not self._stopping.is_set():
                producer = producer or self._make()
                if not self._one(producer):
                    producer = None
                self._stopping.wait(self._rng.uniform(0, BETWEEN))
        except Exception as error:  # told by Load.finish(), and by the driver's next look
            self.trouble = error

    def _make(self):
        """A producer that has ended whatever its predecessor left open."""
        while True:
            producer = confluent_kafka.Producer(self._cluster.client(**{
                "transactional.id": "fault-load", "transaction.timeout.ms": TIMEOUT_MS,
                "socket.timeout.ms": 4000, "reconnect.backoff.max.ms": 300, "linger.ms": 5,
                "log_level": 0}))  # a broken producer is made anew, and nobody need be told
            if self._call(producer.init_transactions) is None:
                return producer
            time.sleep(PAUSE)

    def _one(self, producer):
        """One transaction. False: the producer cannot be used any more."""
        entered = []
        try:
            producer.begin_transaction()
            for _ in range(self._rng.randint(1, LARGEST)):
                entered.append(self._load.enter(self._topic))
                self._produce(producer, entered[-1])
            time.sleep(self._rng.uniform(0, LONGEST))
            wanted = self._rng.random() >= ABORTED_SHARE
        except confluent_kafka.KafkaException:
            wanted = False
        if wanted:
            error = self._call(producer.commit_transaction)
            if error is None:
                self._load.settle(entered, "committed")
                return True
            if not error.txn_requires_abort():
                self._load.settle(entered, "unknown")
                return False
        # Also where the abort fails: nobody will commit it.
        aborted = self._call(producer.abort_transaction) is None
        self._load.settle(entered, "aborted")
        return aborted

    def _produce(self, producer, record):
        while True:
            try:
                producer.produce(**self._load.fields(record))
                return
            except BufferError:
                producer.poll(0.1)

    @staticmethod
    def _call(function):
        """None, or the error that calling again does not mend."""
        while True:
            try:
                function(CALL)
                return None
            except confluent_kafka.KafkaException as error:
                if not error.args[0].retriable():
                    return error.args[0]
                time.sleep(PAUSE)
