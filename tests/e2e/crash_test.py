"""Killed, stopped and cut off at any moment: nothing is lost, order holds, duplicates are few."""

import random
import shutil
import signal
import socket
import threading
import time

import pytest

from harness import configuration, parts, pipeline, wait_until

PARTITIONS = 4


class Writer(threading.Thread):
    """Produces numbered records to all partitions until told to stop."""

    def __init__(self, broker, topic, rate):
        super().__init__(daemon=True)
        self._broker, self._topic, self._rate = broker, topic, rate
        self._stop_asked = threading.Event()
        self.written = 0

    def run(self):
        while not self._stop_asked.is_set():
            step = self._rate // 10
            first = self.written
            self._broker.produce(self._topic, (
                {"value": b"%d" % i, "partition": i % PARTITIONS, "key": b"%d" % (i % 7)}
                for i in range(first, first + step)))
            self.written = first + step
            time.sleep(0.1)

    def finish(self):
        self._stop_asked.set()
        self.join()
        return self.written


def account_for(source, target, topic):
    """Every record arrived, and a duplicate only ever repeats a run that came before.

    Returns the number of duplicates.
    """
    duplicates = 0
    left, arrived = source.read(topic), target.read(topic)
    for partition, records in left.items():
        wanted = [(r.key, r.value, r.timestamp) for r in records]
        number = {row: i for i, row in enumerate(wanted)}
        seen = -1  # highest source position that has arrived
        last = -1
        for record in arrived[partition]:
            position = number[(record.key, record.value, record.timestamp)]
            assert position <= seen + 1, f"partition {partition}: {seen + 1} was skipped"
            assert position == last + 1 or position <= seen, f"partition {partition}: out of order"
            duplicates += position <= seen
            last, seen = position, max(seen, position)
        assert seen == len(wanted) - 1, f"partition {partition}: {seen + 1} of {len(wanted)} arrived"
    return duplicates


def test_kill_9_twenty_times(source, target, bridge, unique):
    topic = source.create_topic(unique(), PARTITIONS)
    made = bridge(configuration(source, target, {unique("p"): pipeline(
        topic, checkpoint="200ms")}))
    writer = Writer(source, topic, rate=4_000)
    writer.start()
    for _ in range(20):
        made.start()
        time.sleep(random.uniform(0.05, 1.2))
        made.kill()
    written = writer.finish()
    made.until_caught_up()
    duplicates = account_for(source, target, topic)
    print(f"{written} records, {duplicates} duplicates")
    assert sum(map(len, source.read(topic).values())) == written
    # A kill costs what came after the last checkpoint, never the whole topic again.
    assert duplicates < 3 * written


def test_stop_in_the_middle_leaves_no_duplicate(source, target, bridge, unique):
    topic = source.create_topic(unique(), PARTITIONS)
    made = bridge(configuration(source, target, {unique("p"): pipeline(topic)}))
    writer = Writer(source, topic, rate=20_000)
    writer.start()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        made.start()
        wait_until(lambda: made.running and topic in target.topics(), 30, "the target topic")
        time.sleep(random.uniform(0.5, 1.0))
        made.signal(number)
        assert made.wait_exit(40) == 0
    writer.finish()
    made.until_caught_up()
    assert account_for(source, target, topic) == 0


def test_second_signal_leaves_at_once(own_broker, source, bridge, unique):
    there = own_broker("4.1", name="frozen")
    topic = source.create_topic(unique())
    made = bridge(configuration(source, there, {unique("p"): pipeline(topic)})).start()
    source.produce(topic, [b"1"])
    wait_until(lambda: topic in there.topics() and there.count(topic) == 1, 30, "the first record")
    there.freeze()
    source.produce(topic, [b"2"] * 1000)
    time.sleep(1)
    made.signal(signal.SIGTERM)
    time.sleep(1)
    assert made.running  # drains: the target may come back
    made.signal(signal.SIGTERM)
    assert made.wait_exit(5) != 0
    there.freeze(False)
    made.until_caught_up()
    assert there.values(topic)[0] == b"1" and there.values(topic).count(b"2") >= 1000


def test_source_and_target_brokers_restart(own_broker, bridge, unique):
    here, there = own_broker("3.9", name="here"), own_broker("4.1", name="there")
    topic = here.create_topic(unique(), PARTITIONS)
    made = bridge(configuration(here, there, {unique("p"): pipeline(topic)})).start()

    def copy(count, base):
        here.produce(topic, ({"value": b"%d" % i, "partition": i % PARTITIONS}
                             for i in range(base, base + count)))

    copy(4_000, 0)
    wait_until(lambda: topic in there.topics() and there.count(topic) > 0, 30, "the first records")
    there.restart(clean=False)
    copy(4_000, 4_000)
    here.restart(clean=True)
    copy(4_000, 8_000)
    there.restart(clean=True)
    copy(4_000, 12_000)
    wait_until(lambda: len({r.value for rs in there.read(topic).values() for r in rs}) == 16_000, 90,
               "all records", pause=1)
    assert made.running
    assert made.terminate() == 0
    account_for(here, there, topic)


def test_cut_connections_and_a_slow_road(own_broker, source, toxiproxy, bridge, unique):
    there = own_broker("4.1", toxi=True)
    toxiproxy.add("target", there.toxi_port, there.toxi_upstream)
    topic = source.create_topic(unique(), PARTITIONS)
    made = bridge(configuration(source, {"bootstrap.servers": there.toxi_bootstrap,
                                         "reconnect.backoff.max.ms": 500},
                                {unique("p"): pipeline(topic)})).start()
    writer = Writer(source, topic, rate=2_000)
    writer.start()
    wait_until(lambda: topic in there.topics(), 30, "the target topic")
    toxic = toxiproxy.toxic("target", "latency", latency=100)
    time.sleep(2)
    toxiproxy.heal("target", toxic)
    for _ in range(4):
        toxiproxy.enable("target", False)
        time.sleep(random.uniform(0.2, 1.0))
        toxiproxy.enable("target", True)
        time.sleep(random.uniform(0.5, 1.0))
    written = writer.finish()
    wait_until(lambda: there.count(topic) >= written, 60, "all records")
    assert made.terminate() == 0
    account_for(source, there, topic)


def test_one_daemon_at_a_time(source, target, bridge, unique):
    topic = source.create_topic(unique())
    source.produce(topic, [b"1"])
    made = bridge(configuration(source, target, {unique("p"): pipeline(topic)})).start()
    wait_until(lambda: topic in target.topics() and target.count(topic) == 1, 30, "the first record")
    second = made.until_caught_up(expect=None)
    assert second.status != 0
    assert "another" in second.text or "lock" in second.text
    assert made.terminate() == 0


def test_damaged_or_foreign_state_is_refused(source, target, bridge, unique, tmp_path):
    state_copy = tmp_path / "copy"
    topic = source.create_topic(unique())
    source.produce(topic, [b"1"])
    config = configuration(source, target, {unique("p"): pipeline(topic)})
    made = bridge(config)
    made.until_caught_up()
    state = made.folder / "state"
    shutil.copytree(state, state_copy)

    # Another daemon's identity on the same store.
    made.configure(config | {"daemon": config["daemon"] | {"name": "somebody-else"}})
    done = made.until_caught_up(expect=None)
    assert done.status != 0 and "somebody-else" in done.text and "tests" in done.text

    # Damage: every page overwritten but the size.
    made.configure(config)
    files = [path for path in state.rglob("*") if path.suffix == ".mdb" and "lock" not in path.name]
    assert files
    for path in files:
        path.write_bytes(b"\x5a" * path.stat().st_size)
    done = made.until_caught_up(expect=None)
    assert done.status != 0 and str(state) in done.text
    assert target.values(topic) == [b"1"]

    shutil.rmtree(state)
    shutil.copytree(state_copy, state)
    source.produce(topic, [b"2"])
    made.until_caught_up()
    assert target.values(topic) == [b"1", b"2"]


@pytest.mark.parametrize("silent", ["src", "dst"])
def test_a_stop_is_heard_while_a_cluster_does_not_answer(silent, source, target, bridge, unique):
    topic = source.create_topic(unique(silent))
    with socket.create_server(("127.0.0.1", parts.free_port())) as hole:  # accepts, says nothing
        hole.settimeout(30)
        address = {"bootstrap.servers": f"127.0.0.1:{hole.getsockname()[1]}"}
        made = bridge(configuration(address if silent == "src" else source,
                                    address if silent == "dst" else target,
                                    {unique("p"): pipeline(topic)})).start()
        connection, _ = hole.accept()
        with connection:
            time.sleep(0.5)
            began = time.monotonic()
            assert made.terminate() == 0
            assert time.monotonic() - began < 3
