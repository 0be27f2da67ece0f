"""One KRaft node of Apache Kafka: broker and controller in a process of its own."""

import base64
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import confluent_kafka
import confluent_kafka.admin

from . import parts
from .certificates import Certificates
from .raw import RawProducer
from .records import read_all
from .waiting import wait_until

VERSIONS = {"3.9": "KAFKA_OLD", "4.1": "KAFKA_NEW"}

# Records carry whatever timestamps a test likes, and time retention must not eat the old ones.
TOPIC_DEFAULTS = {"retention.ms": "-1"}

BROKER_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # Small and quick: few internal partitions, retention and deletion within seconds, and a log
    # cleaner that does not ask for half the heap.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "log.retention.check.interval.ms": "1000",
    "log.segment.delete.delay.ms": "500",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.cleaner.backoff.ms": "1000",
    # After kill -9 the node may register anew once its old session has timed out.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "2",
}


class Broker:
    """A single-node cluster with its own ports and folder.

    tls     adds a SASL_SSL listener: SCRAM-SHA-512, user `bridge`, see secure_properties()
    toxi    adds a listener that advertises a proxy's port: clients of toxi_bootstrap stay behind
            the proxy that listens on toxi_port and forwards to toxi_upstream
    properties  broker settings on top of the above
    """

    USER, PASSWORD = "bridge", "correct horse battery staple"

    def __init__(self, version, name="kafka", tls=False, toxi=False, properties=None, heap_mb=320):
        self.name = name
        self.version = parts.versions()[VERSIONS[version]]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"drawbridge-{name}-"))
        self.log = self.folder / "broker.log"
        self.data = self.folder / "data"
        self.port = parts.free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.cluster_id = base64.urlsafe_b64encode(b"d" + os.urandom(15)).decode().rstrip("=")
        self.certificates = Certificates(self.folder / "tls") if tls else None
        self._heap_mb = heap_mb
        self._process = None
        self._admin = None

        controller = parts.free_port()
        listeners = {"PLAINTEXT": self.port}
        advertised = {"PLAINTEXT": self.port}
        protocols = {"CONTROLLER": "PLAINTEXT", "PLAINTEXT": "PLAINTEXT"}
        extra = {}
        if tls:
            self.secure_port = listeners["SECURE"] = advertised["SECURE"] = parts.free_port()
            protocols["SECURE"] = "SASL_SSL"
            extra = {
                "listener.name.secure.sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.secure.scram-sha-512.sasl.jaas.config":
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;",
                "listener.name.secure.ssl.keystore.type": "PEM",
                "listener.name.secure.ssl.keystore.location": str(self.certificates.broker),
                "listener.name.secure.ssl.truststore.type": "PEM",
                "listener.name.secure.ssl.truststore.location": str(self.certificates.ca),
            }
        if toxi:
            self.toxi_upstream = listeners["TOXI"] = parts.free_port()
            self.toxi_port = advertised["TOXI"] = parts.free_port()
            self.toxi_bootstrap = f"127.0.0.1:{self.toxi_port}"
            protocols["TOXI"] = "PLAINTEXT"

        def addresses(ports):
            return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())

        self.properties = BROKER_PROPERTIES | {
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "listeners": addresses(listeners | {"CONTROLLER": controller}),
            "advertised.listeners": addresses(advertised),
            "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
            "log.dirs": str(self.data),
        } | extra | (properties or {})
        self._format()

    # --- The process ---------------------------------------------------------------------------

    def _java(self, *arguments, heap="-Xmx128m"):
        return [parts.java(), heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                "-cp", parts.class_path(self.version), *arguments]

    def tool(self, main_class, *arguments, check=True):
        """Runs one of Kafka's own command line tools, and returns what it printed."""
        done = subprocess.run(self._java(main_class, *arguments), capture_output=True, text=True,
                              timeout=60, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"{main_class}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def consumer_groups(self, *arguments):
        """kafka-consumer-groups, as an operator would run it."""
        return self.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
                         "--bootstrap-server", self.bootstrap, *arguments)

    def _format(self):
        settings = self.folder / "server.properties"
        settings.write_text("".join(f"{k}={v}\n" for k, v in self.properties.items()))
        scram = []
        if self.certificates:
            scram = ["--add-scram", f"SCRAM-SHA-512=[name={self.USER},password={self.PASSWORD}]"]
        self.tool("kafka.tools.StorageTool", "format", "--standalone", "-t", self.cluster_id,
                  "-c", str(settings), *scram)

    def start(self, wait=True):
        self._started_at = self.log.stat().st_size if self.log.exists() else 0
        self._process = parts.spawn(
            self._java("kafka.Kafka", str(self.folder / "server.properties"),
                       heap=f"-Xmx{self._heap_mb}m"),
            self.log)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=60):
        def ready():
            with open(self.log, "rb") as log:
                log.seek(self._started_at)
                if b"Kafka Server started" in log.read():
                    return True
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} died:\n{self.log_tail()}")
            return False

        wait_until(ready, timeout, f"{self.name} to start ({self.log})")

    def log_tail(self, lines=30):
        text = self.log.read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    @property
    def pid(self):
        return self._process.pid if self._process else None

    def stop(self, timeout=30):
        """A clean shutdown."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self):
        """No farewell."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self, frozen=True):
        """The process stops answering without closing a connection, or goes on."""
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def restart(self, clean=True):
        if clean:
            self.stop()
        else:
            self.kill()
        self.start()

    def remove(self):
        """Kills the broker and deletes its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- Clients -------------------------------------------------------------------------------

    def secure_properties(self):
        """librdkafka properties for the SASL_SSL listener, the password aside."""
        return {
            "bootstrap.servers": f"127.0.0.1:{self.secure_port}",
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.certificates.ca),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": self.USER,
        }

    def client(self, **properties):
        return {"bootstrap.servers": self.bootstrap, "socket.nagle.disable": True, "log_level": 2,
                "broker.address.family": "v4", **properties}

    @property
    def admin(self):
        if self._admin is None:
            self._admin = confluent_kafka.admin.AdminClient(
                self.client(**{"reconnect.backoff.max.ms": 500}))
        return self._admin

    def raw(self):
        """A producer of awkward records; close it or use it with `with`."""
        return RawProducer("127.0.0.1", self.port)

    # --- Topics --------------------------------------------------------------------------------

    def create_topic(self, topic, partitions=1, **configs):
        """Settings with underscores for dots: create_topic("a", 3, max_message_bytes=1000)."""
        settings = TOPIC_DEFAULTS | {k.replace("_", "."): str(v) for k, v in configs.items()}
        request = confluent_kafka.admin.NewTopic(topic, partitions, 1, config=settings)
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

    def committed(self, group, topic):
        """{partition: offset committed by the group, None where there is none}"""
        consumer = confluent_kafka.Consumer(self.client(**{"group.id": group}))
        try:
            asked = [confluent_kafka.TopicPartition(topic, p) for p in range(self.partitions(topic))]
            return {p.partition: p.offset if p.offset >= 0 else None
                    for p in consumer.committed(asked, timeout=30)}
        finally:
            consumer.close()

    # --- What lies on disk ----------------------------------------------------------------------

    def segments(self, topic=None):
        """Log segment files, of one topic or all."""
        pattern = f"{topic}-[0-9]*/*.log" if topic else "*/*.log"
        return sorted(self.data.glob(pattern))

    def find_on_disk(self, marker, topic=None):
        """Segment files that hold `marker`: where a secret lies in clear, or nowhere.

        Sees what is neither encrypted nor compressed, so do not compress in tests that rely on it.
        """
        return [str(path.relative_to(self.data)) for path in self.segments(topic)
                if marker in path.read_bytes()]
