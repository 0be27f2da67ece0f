"""The bench's laboratory: one broker on a memory disk, topics to copy, the bridge as a process."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "tests/e2e"))
from harness import Broker, Keyring, Toxiproxy, parts, wait_until  # noqa: E402

import sampling  # noqa: E402

SHARDS = 4  # the bridge's default, and so many bare producers


def note(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class BenchBroker(Broker):
    """The harness's broker with the JVM as Kafka's users run it, not as tests want it."""

    def _java(self, *arguments, heap="-Xmx256m"):
        return [parts.java(), heap, "-cp", parts.class_path(self.version), *arguments]


# A memory disk must not fill up: nothing is left to retention but what was deleted, within a second.
PROPERTIES = {"num.network.threads": "3", "num.io.threads": "8",
              "log.retention.check.interval.ms": "3000", "log.segment.delete.delay.ms": "200"}


class Lab:
    """Use it with `with`."""

    def __init__(self):
        self.build = pathlib.Path(os.environ.get("BENCH_BUILD", CHECKOUT / "build/release")).resolve()
        self.binary = os.environ.get("DRAWBRIDGE_BINARY", str(self.build / "bin/drawbridge"))
        # Checkpoints are synced to a real disk.
        self.folder = pathlib.Path(tempfile.mkdtemp(
            prefix="drawbridge-bench-", dir=os.environ.get("BENCH_STATE", "/var/tmp")))
        self._numbers = iter(range(1, 1_000_000))
        self._cleanup = contextlib.ExitStack()

    def __enter__(self):
        self._cleanup.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.data_disk = "memory disk" if memory_disk() else "disk"
        tempfile.tempdir = str(memory_disk() or self.folder)
        self.broker = BenchBroker("4.1", "bench", toxi=True, properties=PROPERTIES, heap_mb=1024)
        self._cleanup.callback(self.broker.remove)
        self.broker.start()
        self.rings = [Keyring(self.folder / f"{name}.keyring", name) for name in ("dc", "cloud")]
        self.toxiproxy = None
        if Toxiproxy.available():
            self.toxiproxy = Toxiproxy(self.folder)
            self._cleanup.callback(self.toxiproxy.close)
            self.toxiproxy.add("kafka", self.broker.toxi_port, self.broker.toxi_upstream)
        return self

    def __exit__(self, *_):
        self._cleanup.close()

    # --- Topics --------------------------------------------------------------------------------

    def name(self, kind):
        return f"{kind}-{next(self._numbers)}"

    def fill(self, size, records, partitions):
        """A topic of clear records."""
        topic = self.broker.create_topic(self.name("clear"), partitions)
        self.tool("limits", "produce", bootstrap=self.broker.bootstrap, topic=topic,
                  partitions=partitions, producers=min(SHARDS, partitions), records=records,
                  size=size)
        return topic

    def seal(self, topic):
        """The same records as native envelopes, made by the bridge itself."""
        sealed = self.name("sealed")
        self.copy(topic, to=sealed, transforms=[{"encrypt": {"domain": "dc"}}])
        return sealed

    def drop(self, *topics):
        for topic in topics:
            self.broker.delete_topic(topic)
            # The broker looks for what to delete only half a minute after its start.
            wait_until(lambda name=topic: not list(self.broker.data.glob(f"{name}[-.]*")), 180,
                       f"the files of {topic} to go")

    def bytes_of(self, topic, partitions):
        """A function: bytes in the topic's log now. Costs the broker nothing."""
        folders = [self.broker.data / f"{topic}-{p}" for p in range(partitions)]

        def total():
            size = 0
            for folder in folders:
                try:
                    with os.scandir(folder) as entries:
                        size += sum(e.stat().st_size for e in entries if e.name.endswith(".log"))
                except FileNotFoundError:
                    pass  # not created yet
            return size

        return total

    # --- Programs ------------------------------------------------------------------------------

    def command(self, program, *words, **flags):
        return [str(self.build / f"bin/bench_{program}"), *words,
                *(text for name, value in flags.items() for text in (f"--{name}", str(value)))]

    def tool(self, program, *words, **flags):
        """Runs bench_PROGRAM and returns what it printed, read as JSON."""
        done = subprocess.run(self.command(program, *words, **flags), capture_output=True,
                              text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"bench_{program} {words}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def start_tool(self, program, *words, **flags):
        """The same in the background; result() waits for it. Dies with this process."""
        log = self.folder / self.name(f"{program}.log")
        process = parts.spawn(self.command(program, *words, **flags), log)
        process.log = log
        return process

    @staticmethod
    def result(process, timeout=60):
        if process.wait(timeout) != 0:
            raise RuntimeError(f"{process.args[:2]}: {process.log.read_text()[-2000:]}")
        return json.loads(process.log.read_text().splitlines()[-1])

    def configure(self, topic, to, transforms=(), bootstrap=None, name=None, daemon=(),
                  **settings):
        """A configuration file in a folder of its own; nothing but what a user must write.

        name: of daemon and pipeline, where several share it. daemon: more keys of the daemon.
        settings: more keys of the pipeline, with underscores for dashes.
        """
        folder = self.folder / self.name("run")
        name = name or folder.name
        folder.mkdir()
        servers = {"src": self.broker.bootstrap, "dst": bootstrap or self.broker.bootstrap}
        config = {
            "daemon": {"name": name, "state-directory": "state", "log": {"format": "json"},
                       **dict(daemon)},
            "clusters": {n: {"bootstrap.servers": s} for n, s in servers.items()},
            "key_domains": {ring.domain: ring.options() for ring in self.rings},
            "pipelines": {name: {
                "dataset": "bench",
                "from": {"cluster": "src", "topics": [topic]},
                "transforms": list(transforms),
                "to": {"cluster": "dst", "topic": to, "create-topics": True},
                **{key.replace("_", "-"): value for key, value in settings.items()},
            }},
        }
        if not transforms:
            del config["key_domains"]
        # JSON is YAML.
        (folder / "bridge.yaml").write_text(json.dumps(config, indent=1), encoding="utf-8")
        return folder

    def start_bridge(self, folder, *arguments):
        return parts.spawn([self.binary, "run", "-c", str(folder / "bridge.yaml"), *arguments],
                           folder / "bridge.log", cwd=folder)

    @staticmethod
    def wait_shared(folders):
        """Until each of some instances works on a part that the others leave to it."""
        def parts_of(folder):
            newest = 0
            for line in (folder / "bridge.log").read_text(errors="replace").splitlines():
                if '"pipeline running"' in line:
                    newest = int(json.loads(line)["partitions"].split()[0])
                elif '"the group deals' in line or '"drawbridge started"' in line:
                    newest = 0
            return newest

        def shared():
            return all(parts_of(folder) for folder in folders)

        wait_until(shared, 90, "the instances to share the pipeline")

    def copy(self, topic, to, transforms=(), bootstrap=None, **settings):
        """Runs the bridge until it has caught up, and measures it.

        With transactions, Run.inside holds the number of commits that each partition has seen.
        """
        first = {p: end - begin for p, (begin, end) in self.broker.ends(topic).items()}
        folder = self.configure(topic, to, transforms, bootstrap, **settings)
        process = self.start_bridge(folder, "--until-caught-up")
        run = sampling.watch(process, self.bytes_of(to, len(first)), sum(first.values()),
                             self.broker.pid)
        log = (folder / "bridge.log").read_text(errors="replace")
        if run.status != 0:
            raise RuntimeError(f"the bridge ended with {run.status}:\n{log[-3000:]}")
        arrived = {p: end - begin for p, (begin, end) in self.broker.ends(to).items()}
        if settings.get("delivery") == "exactly-once":
            # Each commit leaves a marker in each partition that it wrote to.
            said = [json.loads(line) for line in log.splitlines() if '"transactions"' in line]
            run.inside = {"commits": [arrived[p] - first[p] for p in first], "stalls": said[-1]}
            arrived = {p: count - marks for (p, count), marks
                       in zip(arrived.items(), run.inside["commits"])}
            if min(run.inside["commits"]) < 1:
                raise RuntimeError(f"{to} has a partition without a commit: {arrived}")
        if arrived != first:
            raise RuntimeError(f"{topic} has {first}, {to} has {arrived}:\n{log[-3000:]}")
        return run

    def produce(self, topic, size, records, partitions, bootstrap=None):
        """Bare producers, measured from outside as the bridge is."""
        process = self.start_tool(
            "limits", "produce", bootstrap=bootstrap or self.broker.bootstrap, topic=topic,
            partitions=partitions, producers=SHARDS, records=records, size=size)
        run = sampling.watch(process, self.bytes_of(topic, partitions), records, self.broker.pid)
        run.inside = self.result(process)
        return run


def memory_disk():
    """A memory disk with room, or None."""
    place = pathlib.Path("/dev/shm")
    if place.is_dir() and shutil.disk_usage(place).free > 8 << 30:
        return place
    return None
