"""What the faults strike: two clusters, the roads to them, key files, bridges, load and watch."""

import json
import pathlib
import shutil
import subprocess
import threading
import time

import confluent_kafka
import kafka
import kafka.admin

import network
import shim
from audit import Auditor
from faults import RENEWED
from harness import Bridge, Cluster, Keyring, Toxiproxy, configuration, parts, pipeline, wait_until
from harness.records import Record
from load import Load, Stream
from plan import Shape
from watch import Watch

DATASET = b"fault"
DEAD = {"plain": "dead.plain", "sealed": "dead.sealed"}
SEALED = ("sealed",)
GROWING, GROWS_TO = "plain.b", 12
TARGET_LIMIT = 100_000  # max.message.bytes of plain.b on the target
TARGET_NODES = 3
SHARDS = 2
SESSION = "6s"  # after which an instance that says nothing is taken for dead
TRANSACTIONAL = "plain.t"
# Groups form at once, and what a dead producer left open is aborted within seconds.
BROKER = {"group.initial.rebalance.delay.ms": "0", "group.min.session.timeout.ms": "1000",
          "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000"}
CHECKPOINT = {"interval": "300ms", "records": 500}
IN_FLIGHT = {"bytes": "8MiB", "records": 1000}
# How many records a partition may go back at least once: what was in flight, and what came since
# the last checkpoint, one of which may have been on its way to the disk.
WINDOW = IN_FLIGHT["records"] + 2 * CHECKPOINT["records"]
# An outage shall be noticed within seconds, or every cut would cost the minute of the defaults.
CLIENT = {"socket.timeout.ms": 4000, "socket.connection.setup.timeout.ms": 2000,
          "reconnect.backoff.max.ms": 500, "topic.metadata.refresh.interval.ms": 2000,
          "broker.address.family": "v4"}
PRODUCER = {"request.timeout.ms": 3000}


def streams():
    return [Stream("plain.a", 500, 4), Stream("plain.b", 200, 2),
            Stream("sealed", 150, 3, sealed=True), Stream(RENEWED, 40, 2),
            Stream(TRANSACTIONAL, 40, 2)]


# Capabilities that depend on how the lab is run, not on the machine.
FORMS = {"three source nodes", "exactly-once", "several instances", "three instances"}


def capabilities(mode, long, instances=1):
    """What this machine and this run can do."""
    return {name for name, there in {
        "toxiproxy": Toxiproxy.available(),
        "packets": network.can_drop_packets(),
        "shim": shim.compiler() is not None,
        "three source nodes": long,
        "exactly-once": mode == "exactly-once",
        "several instances": instances > 1,
        "three instances": instances > 2,
    }.items() if there}


class Instance:
    """One bridge: its process, its state directory, and what it sees of clock, disk and keys."""

    def __init__(self, config, folder, library, keys):
        folder.mkdir()
        self.name = folder.name
        self.state = folder / "state"
        self.shim = None
        environment = {}
        if library:
            self.shim = shim.Shim(library, folder, self.state, keys)
            environment = self.shim.environment
        self.bridge = Bridge(config, folder, environment)
        self.expected = False  # to be running
        self.starts = 0

    def start(self):
        self.bridge.start()
        self.expected = True
        self.starts += 1

    def kill(self):
        self.expected = False
        self.bridge.kill()

    def terminate(self):
        self.expected = False
        status = self.bridge.terminate(60)
        if status != 0:
            raise AssertionError(f"{self.name} ended with {status} after SIGTERM")

    def signal(self, number):
        self.bridge.signal(number)

    def check(self):
        if self.expected and not self.bridge.running:
            raise AssertionError(f"{self.name} ended by itself with {self.bridge.wait_exit(1)}")

    def resident(self):
        """Resident memory in KiB."""
        status = pathlib.Path(f"/proc/{self.bridge.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines()
                    if line.startswith("VmRSS"))


class World:
    """Everything that runs. `with World(...) as world`: gone afterwards, whatever happened."""

    def __init__(self, folder, mode, instances=1, long=False):
        self.folder, self.mode = folder, mode
        self._count, self._long = instances, long
        self.source = self.target = self.proxy = self.load = self.watch = None
        self.instances = []
        self.past = {}  # Key -> rows of lives that are over
        self.shape = shape(instances, long)

    def __enter__(self):
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    # --- Building up ----------------------------------------------------------------------------

    def _build(self):
        making = [threading.Thread(target=self._make_cluster, args=arguments) for arguments in (
            ("source", "3.9", self.shape.source_nodes), ("target", "4.1", self.shape.target_nodes))]
        for thread in making:
            thread.start()
        for thread in making:
            thread.join()
        if self.source is None or self.target is None:
            raise RuntimeError("the brokers could not be made")
        self.proxy = Toxiproxy(self.folder) if Toxiproxy.available() else None
        for cluster in (self.target, self.source):
            cluster.start()
            for node in cluster.nodes if self.proxy else ():
                self.proxy.add(node.name, node.toxi_port, node.toxi_upstream)
        keys = self.folder / "keys"
        keys.mkdir()
        self.rings = {side: Keyring(keys / side, side) for side in ("here", "there")}
        self.auditor = Auditor(SEALED, self.rings["here"], self.rings["there"], DATASET)
        for stream in streams():
            self.source.create_topic(stream.topic, stream.partitions, max_message_bytes=2_000_000)
        for topic in DEAD.values():
            self.target.create_topic(topic, 1, max_message_bytes=2_000_000)
        self.target.create_topic(GROWING, 2, max_message_bytes=TARGET_LIMIT)
        library = shim.build(self.folder) if shim.compiler() else None
        for number in range(1, self._count + 1):
            self.instances.append(Instance(self._configuration(), self.folder / f"bridge-{number}",
                                           library, keys))
        self.load = Load(self.source, streams(), TRANSACTIONAL, self.rings["here"], DATASET)
        isolation = "read_committed" if self.mode == "exactly-once" else "read_uncommitted"
        topics = [stream.topic for stream in streams()] + list(DEAD.values())
        self.watch = Watch(self.target, topics, self.load, isolation, self._open_whole)

    def _make_cluster(self, name, version, count):
        setattr(self, name, Cluster(version, name, count, toxi=Toxiproxy.available(),
                                    properties=BROKER))

    def _configuration(self):
        common = {"shards": SHARDS, "checkpoint": CHECKPOINT, "max_in_flight": IN_FLIGHT,
                  "target": PRODUCER, "session_timeout": SESSION}
        if self.mode != "at-least-once":
            common["delivery"] = self.mode

        def road(cluster):
            at = cluster.toxi_bootstrap if self.proxy else cluster.bootstrap
            return {"bootstrap.servers": at, **CLIENT}

        # Alone, a static member: after kill -9 it goes on at once, not when its session has ended.
        return configuration(road(self.source), road(self.target), {
            "plain": pipeline(["^plain[.].*"], on_error={"dead-letter": {"topic": DEAD["plain"]}},
                              **_own(common)),
            "sealed": pipeline(["sealed"], dataset=DATASET.decode(), require={
                "in": ["native"], "out": ["native"]}, transforms=[{"rekey": {
                    "from": "here", "to": "there", "mode": "reencrypt", "rotate-records": 50}}],
                on_error={"dead-letter": {"topic": DEAD["sealed"], "seal": "here"}},
                **_own(common)),
            "reborn": pipeline([RENEWED], source={"on-gap": "earliest"}, **_own(common)),
        }, list(self.rings.values()), name="fault",
            instance="lab-1" if self._count == 1 else None)

    def _open_whole(self, message):
        record = Record(message.partition(), message.offset(), 0, 0, message.key(), message.value(),
                        tuple(message.headers()))
        return self.auditor.open_whole(record)[2]

    # --- Taking down ----------------------------------------------------------------------------

    def close(self):
        for instance in self.instances:
            instance.kill()
        if self.watch and self.watch.is_alive():
            self.watch.stop()
        if self.proxy:
            self.proxy.close()
        for cluster in (self.source, self.target):
            for node in cluster.nodes if cluster else ():
                if node.log.exists():
                    shutil.copy(node.log, self.folder / f"{node.name}.log")
                node.remove()

    # --- Looking --------------------------------------------------------------------------------

    def check(self):
        """Raises when something that should run does not."""
        for instance in self.instances:
            instance.check()
        self.load.check()
        if self.watch.trouble:
            raise self.watch.trouble

    def wait_caught_up(self, mark, timeout=60, since=None):
        """Waits until everything of `mark` has arrived; returns the seconds since then."""
        started = since or time.monotonic()
        while missing := self.watch.missing(mark):
            self.check()
            if time.monotonic() - started > timeout:
                short = ", ".join(f"{key}: {count}" for key, count in missing.items())
                raise AssertionError(f"not caught up {timeout} s after the fault was mended; "
                                     f"still to come: {short}")
            time.sleep(0.02)
        return time.monotonic() - started

    def wait_group_told(self, timeout):
        """Until the pipelines' groups are at the ends of the source, or the time is over."""
        def told():
            groups = group_positions(self.source)
            return all(groups.get((stream.topic, number)) == end for stream in streams()
                       for number, (_, end) in self.source.ends(stream.topic).items() if end > 0)

        deadline = time.monotonic() + timeout
        while not told() and time.monotonic() < deadline:
            time.sleep(0.2)

    def hand_over(self, leave):
        """Calls `leave`, which takes an instance away; the seconds from then until the others have
        copied what came meanwhile."""
        began = time.monotonic()
        leave()
        self.load.wait_alive()
        self.wait_caught_up(self.load.mark(), since=began)
        return time.monotonic() - began

    def coordinator(self, cluster, topic, name):
        """The node that leads the internal partition which `name` belongs to."""
        value = 0
        for char in name:  # Java's String.hashCode
            value = (31 * value + ord(char)) & 0xFFFFFFFF
        value -= (value & 0x80000000) << 1
        number = abs(value) % cluster.partitions(topic)
        return wait_until(lambda: cluster.leader(topic, number), 30, f"a leader of {topic}")

    @staticmethod
    def transactional_id(shard):
        return f"fault.plain.{shard}"

    # --- What some faults need ------------------------------------------------------------------

    def grow(self):
        """One more partition of the growing topic, with records of its own at once."""
        partitions = self.load.streams[GROWING].partitions
        if partitions < GROWS_TO:
            self.source.add_partitions(GROWING, partitions + 1)
            self.load.grow(GROWING, partitions + 1)

    def move_leaders(self, shift):
        """Turns every replica list of the target by `shift`, and elects those in front."""
        admin = kafka.admin.KafkaAdminClient(bootstrap_servers=self.target.bootstrap.split(","))
        topics = self.target.admin.list_topics(timeout=30).topics
        lists = {}
        for topic, found in topics.items():
            for number, place in found.partitions.items():
                turned = place.replicas[shift:] + place.replicas[:shift]
                lists[kafka.TopicPartition(topic, number)] = turned
        admin.alter_partition_reassignments(lists)
        admin.close()
        wanted = [confluent_kafka.TopicPartition(p.topic, p.partition) for p in lists]
        self.target.admin.elect_leaders(confluent_kafka.ElectionType.PREFERRED, wanted).result(30)

    def retire(self):
        """Ends the life of a topic's content: all of it is copied, positions are durable, and the
        audit's rows are kept here. The topic may go."""
        self.load.pause(RENEWED)
        self.wait_caught_up({k: n for k, n in self.load.mark().items() if k.topic == RENEWED})
        time.sleep(1.0)  # three checkpoint intervals
        for key, rows in self.auditor.source(self.source, RENEWED).items():
            self.past.setdefault(key, []).extend(rows)

    def renew(self, beyond=False):
        """Makes it anew. beyond: with more records in each partition than it had before."""
        stream = self.load.streams[RENEWED]
        ended = max(len(rows) for key, rows in self.past.items() if key.life == stream.life)
        self.source.create_topic(RENEWED, stream.partitions, max_message_bytes=2_000_000)
        self.load.renew(RENEWED)
        if beyond:
            self.load.burst(RENEWED, stream.partitions * (ended + 50))
        self.load.resume(RENEWED)
        self.load.wait_alive(RENEWED)
        if beyond:
            def longer():
                return all(end > ended for _, end in self.source.ends(RENEWED).values())

            wait_until(longer, 60, f"{RENEWED} to be longer than before")


def _own(settings):
    """A copy, since pipeline() takes things out of what it is given."""
    return {name: dict(value) if isinstance(value, dict) else value
            for name, value in settings.items()}


def shape(instances, long):
    return Shape(TARGET_NODES, 3 if long else 1, instances, SHARDS, ("plain", "sealed", "reborn"))


def supported_modes():
    """The delivery modes that the bridge knows."""
    told = subprocess.run([parts.binary(), "reference", "configuration"], capture_output=True,
                          text=True, check=True).stdout
    line = next(line for line in told.splitlines() if line.startswith("| `delivery` |"))
    return [mode for mode in ("at-least-once", "exactly-once") if f"`{mode}`" in line]


def ledger_positions(target):
    """{(topic, partition): next offset} as the pipelines' ledgers tell: see LEDGER.md."""
    found = {}
    for pipeline in ("plain", "sealed", "reborn"):
        for records in target.read(f"__drawbridge.ledger.fault.{pipeline}.1").values():
            for record in records:
                if record.key[:1] != b"\x01":
                    continue  # a header
                _, topic, partition = record.key[1:].split(b"\0", 2)
                where = topic.decode(), int.from_bytes(partition, "big")
                found[where] = int.from_bytes(record.value[2:10], "big")
    return found


def group_positions(source):
    """{(topic, partition): offset} that the pipelines' groups have committed on the source."""
    pipelines = {RENEWED: "reborn", "sealed": "sealed"}
    return {(stream.topic, number): offset for stream in streams() for number, offset in
            source.committed(f"drawbridge-{pipelines.get(stream.topic, 'plain')}",
                             stream.topic).items()}


def positions(instances):
    """{(topic, partition): next offsets} as `drawbridge offsets list` tells, of each instance."""
    found = {}
    for instance in instances:
        listed = instance.bridge.with_config("offsets list", "--format", "json")
        if listed.status != 0:
            raise AssertionError(f"offsets list of {instance.name}: {listed.text}")
        for entry in json.loads(listed.out):
            where = entry["topic"], entry["partition"]
            found.setdefault(where, set()).add(entry["next"])
    return found
