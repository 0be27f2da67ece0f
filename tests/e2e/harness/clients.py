"""What the tests ask of a cluster, by clients that are not the bridge's own."""

import os
import re
import time

import confluent_kafka
import confluent_kafka.admin

from .records import read_all
from .waiting import wait_until

# Records carry whatever timestamps a test likes, and time retention must not eat the old ones.
TOPIC_DEFAULTS = {"retention.ms": "-1"}


class Clients:
    """Topics and records of the cluster at `bootstrap`, called `name` in messages."""

    bootstrap = ""
    name = ""
    replication = 1
    _admin = None

    def client(self, **properties):
        return {"bootstrap.servers": self.bootstrap, "socket.nagle.disable": True, "log_level": 2,
                "broker.address.family": "v4", **properties}

    @property
    def admin(self):
        if self._admin is None:
            self._admin = confluent_kafka.admin.AdminClient(
                self.client(**{"reconnect.backoff.max.ms": 500}))
        return self._admin

    # --- Topics --------------------------------------------------------------------------------

    def create_topic(self, topic, partitions=1, **configs):
        """Settings with underscores for dots: create_topic("a", 3, max_message_bytes=1000)."""
        settings = TOPIC_DEFAULTS | {k.replace("_", "."): str(v) for k, v in configs.items()}
        request = confluent_kafka.admin.NewTopic(topic, partitions, self.replication, config=settings)
        self.admin.create_topics([request])[topic].result(30)
        self._wait_topic(topic, lambda found: found and len(found.partitions) == partitions
                         and all(p.leader >= 0 for p in found.partitions.values()))
        return topic

    def configure_topic(self, topic, **configs):
        """Changes settings, with underscores for dots."""
        resource = confluent_kafka.admin.ConfigResource("topic", topic, incremental_configs=[
            confluent_kafka.admin.ConfigEntry(
                name.replace("_", "."), str(value),
                incremental_operation=confluent_kafka.admin.AlterConfigOpType.SET)
            for name, value in configs.items()])
        self.admin.incremental_alter_configs([resource])[resource].result(30)

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])[topic].result(30)
        self._wait_topic(topic, lambda found: found is None)

    def add_partitions(self, topic, total):
        request = confluent_kafka.admin.NewPartitions(topic, total)
        self.admin.create_partitions([request])[topic].result(30)
        self._wait_topic(topic, lambda found: len(found.partitions) == total)

    def delete_records(self, topic, partition, before):
        """Drops the records below offset `before`, as retention would."""
        place = confluent_kafka.TopicPartition(topic, partition, before)
        self.admin.delete_records([place])[place].result(30)

    def topics(self):
        """Names of all topics but Kafka's own. Never creates one by asking."""
        return sorted(t for t in self.admin.list_topics(timeout=30).topics if not t.startswith("__"))

    def partitions(self, topic):
        return len(self.admin.list_topics(timeout=30).topics[topic].partitions)

    def topic_config(self, topic):
        resource = confluent_kafka.admin.ConfigResource("topic", topic)
        entries = self.admin.describe_configs([resource])[resource].result(30)
        return {name: entry.value for name, entry in entries.items()}

    def _wait_topic(self, topic, condition):
        wait_until(lambda: condition(self.admin.list_topics(timeout=30).topics.get(topic)), 30,
                   f"topic {topic} on {self.name}")

    # --- Records -------------------------------------------------------------------------------

    def produce(self, topic, records, **properties):
        """Sends quickly with confluent-kafka and waits for every acknowledgement.

        records: dicts with what confluent_kafka.Producer.produce takes (value, key, partition,
        headers, timestamp), or plain values.
        """
        failed = []
        producer = confluent_kafka.Producer(self.client(
            acks="all", **{"enable.idempotence": True, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000}, **properties))

        def delivered(error, _):
            if error:
                failed.append(error)

        count = 0
        for record in records:
            fields = record if isinstance(record, dict) else {"value": record}
            producer.produce(topic, on_delivery=delivered, **fields)
            count += 1
            if count % 10_000 == 0:
                producer.poll(0)
        producer.flush(60)
        if failed:
            raise RuntimeError(f"{topic}: {len(failed)} of {count} records failed: {failed[0]}")
        return count

    def transaction(self, topic, values, commit=True, partition=0):
        """Sends values in one transaction of its own, committed or aborted."""
        producer = confluent_kafka.Producer(self.client(
            **{"transactional.id": f"tests-{os.urandom(6).hex()}"}))
        producer.init_transactions(30)
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value=value, partition=partition)
        producer.flush(30)
        (producer.commit_transaction if commit else producer.abort_transaction)(30)

    def read(self, topic, isolation="read_committed"):
        """Every record up to the present end, {partition: [Record, ...]}."""
        return read_all(self.bootstrap, topic, isolation)

    def values(self, topic):
        """Values of all partitions, partition after partition."""
        return [r.value for records in self.read(topic).values() for r in records]

    def ends(self, topic):
        """{partition: (first offset, end offset)}"""
        consumer = confluent_kafka.Consumer(self.client(**{"group.id": "tests-ends"}))
        try:
            return {p: self._ends(consumer, confluent_kafka.TopicPartition(topic, p))
                    for p in range(self.partitions(topic))}
        finally:
            consumer.close()

    @staticmethod
    def _ends(consumer, partition):
        """A partition that was just added has no leader for a moment."""
        for _ in range(50):
            try:
                return consumer.get_watermark_offsets(partition, 30)
            except confluent_kafka.KafkaException as error:
                if not error.args[0].retriable() and "leader" not in str(error):
                    raise
                time.sleep(0.1)
        raise TimeoutError(f"{partition.topic} [{partition.partition}] has no leader")

    def count(self, topic):
        """Offsets in use, markers included: cheap, for waiting."""
        return sum(end - first for first, end in self.ends(topic).values())

    def members(self, group):
        """[{(topic, partition)}]: what each member of a group has, as any tool shows it."""
        described = self.admin.describe_consumer_groups([group])[group].result()
        return [{(p.topic, p.partition) for p in member.assignment.topic_partitions}
                for member in described.members]

    def commit_again(self, group, topic, offset, partition=0):
        """An older offset of the group, as whoever committed the newest one would have said it."""
        consumer = confluent_kafka.Consumer(self.client(**{"group.id": group}))
        try:
            (newest,) = consumer.committed([confluent_kafka.TopicPartition(topic, partition)],
                                           timeout=30)
            # The client may read past the end.
            mark = re.match(r"drawbridge .* since \d{13}", newest.metadata)[0]
            consumer.commit(offsets=[confluent_kafka.TopicPartition(topic, partition, offset, mark)],
                            asynchronous=False)
        finally:
            consumer.close()

    def committed(self, group, topic):
        """{partition: offset committed by the group, None where there is none}"""
        consumer = confluent_kafka.Consumer(self.client(**{"group.id": group}))
        try:
            asked = [confluent_kafka.TopicPartition(topic, p) for p in range(self.partitions(topic))]
            return {p.partition: p.offset if p.offset >= 0 else None
                    for p in consumer.committed(asked, timeout=30)}
        finally:
            consumer.close()
