"""One KRaft node of Apache Kafka: broker and controller in a process of its own."""

import base64
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from . import parts
from .certificates import Certificates
from .clients import Clients
from .raw import RawProducer
from .waiting import wait_until

VERSIONS = {"3.9": "KAFKA_OLD", "4.1": "KAFKA_NEW"}

BROKER_PROPERTIES = {
    "process.roles": "broker,controller",
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


def new_cluster_id():
    return base64.urlsafe_b64encode(b"d" + os.urandom(15)).decode().rstrip("=")


class Broker(Clients):
    """A single-node cluster, or one node of several, with its own ports and folder.

    tls     adds a SASL_SSL listener: SCRAM-SHA-512, user `bridge`, see secure_properties()
    users   adds a listener with SASL PLAIN for these names, who have the rights that ACLs give them;
            whoever comes by the plain listener may do everything. See user_properties()
    toxi    adds a listener that advertises a proxy's port: clients of toxi_bootstrap stay behind
            the proxy that listens on toxi_port and forwards to toxi_upstream
    properties  broker settings on top of the above
    voters  {node number: controller port} of all nodes; `node` is this one's, and all of them share
            a cluster_id: see Cluster
    """

    USER, PASSWORD = "bridge", "correct horse battery staple"

    def __init__(self, version, name="kafka", tls=False, users=(), toxi=False, properties=None,
                 heap_mb=320, node=1, voters=None, cluster_id=None):
        self.name = name
        self.version = parts.versions()[VERSIONS[version]]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"drawbridge-{name}-"))
        self.log = self.folder / "broker.log"
        self.data = self.folder / "data"
        self.port = parts.free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.node = node
        self.cluster_id = cluster_id or new_cluster_id()
        self.certificates = Certificates(self.folder / "tls") if tls else None
        self._heap_mb = heap_mb
        self._process = None
        self._alone = voters is None

        controller = parts.free_port() if self._alone else voters[node]
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
        if users:
            self.sasl_port = listeners["SASL"] = advertised["SASL"] = parts.free_port()
            protocols["SASL"] = "SASL_PLAINTEXT"
            known = " ".join(f'user_{user}="{self.PASSWORD}"' for user in users)
            extra |= {
                "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
                "listener.name.sasl.plain.sasl.jaas.config":
                    f"org.apache.kafka.common.security.plain.PlainLoginModule required {known};",
                "authorizer.class.name":
                    "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "allow.everyone.if.no.acl.found": "false",
                "super.users": "User:ANONYMOUS",
            }
        if toxi:
            self.toxi_upstream = listeners["TOXI"] = parts.free_port()
            self.toxi_port = advertised["TOXI"] = parts.free_port()
            self.toxi_bootstrap = f"127.0.0.1:{self.toxi_port}"
            protocols["TOXI"] = "PLAINTEXT"

        def addresses(ports):
            return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())

        self.properties = BROKER_PROPERTIES | {
            "node.id": str(node),
            "listeners": addresses(listeners | {"CONTROLLER": controller}),
            "advertised.listeners": addresses(advertised),
            "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
            "log.dirs": str(self.data),
        } | (
            {"controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}"} if self._alone else
            {"controller.quorum.voters": ",".join(f"{n}@127.0.0.1:{p}" for n, p in voters.items())}
        ) | extra | (properties or {})
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
        alone = ["--standalone"] if self._alone else []
        self.tool("kafka.tools.StorageTool", "format", *alone, "-t", self.cluster_id,
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

    def user_properties(self, user):
        """librdkafka properties for one of `users`, the password aside."""
        return {
            "bootstrap.servers": f"127.0.0.1:{self.sasl_port}",
            "broker.address.family": "v4",
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": user,
        }

    def raw(self):
        """A producer of awkward records; close it or use it with `with`."""
        return RawProducer("127.0.0.1", self.port)

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
