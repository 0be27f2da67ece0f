"""Daemons of one name share a pipeline, and take over from each other."""

import json
import re
import signal
import time

import pytest
from crash_test import PARTITIONS, Writer, account_for

from harness import configuration, pipeline, wait_until

SESSION = 6
# What hand-over may take beside what is promised, on a machine that is busy with other things.
SLACK = 10


@pytest.fixture(params=["at-least-once", "exactly-once"])
def delivery(request):
    return request.param


class Shared:
    """Instances that share one pipeline, each with a state directory of its own."""

    def __init__(self, source, target, bridge, unique, delivery):
        self.topic, self.name, self.delivery = unique(), unique("p"), delivery
        self._source, self._target, self._bridge = source, target, bridge
        source.create_topic(self.topic, PARTITIONS)
        self.writer = Writer(source, self.topic, rate=2_000)
        self.instances = []

    def start(self, instance=None):
        made = self._bridge(configuration(self._source, self._target, {self.name: pipeline(
            self.topic, delivery=self.delivery, session_timeout=f"{SESSION}s")},
            instance=instance))
        made.start()
        self.instances.append(made)
        return made

    def work(self):
        if not self.writer.is_alive():
            self.writer.start()

    @staticmethod
    def parts(instance):
        """How many partitions it says that it works on; 0 while it works on none."""
        says = 0
        for event in instance.events():
            if event["event"] == "pipeline running":
                says = int(re.match(r"\d+", event["partitions"])[0])
            elif event["event"] == "the group deals the pipeline out anew":
                says = 0
        return says

    def wait_shared_by(self, *instances, within=30):
        def shared():
            parts = [self.parts(each) for each in instances]
            return all(parts) and sum(parts) == PARTITIONS

        began = time.monotonic()
        wait_until(shared, within, f"{len(instances)} instances share the pipeline")
        return time.monotonic() - began

    def finish(self):
        """What was doubled."""
        self.writer.finish()
        last = self.instances[0]
        for each in self.instances[1:]:
            each.kill()
        if not last.running:
            last.start()
        ends = sum(high - low for low, high in self._source.ends(self.topic).values())
        wait_until(lambda: sum(map(len, self._target.read(self.topic).values())) >= ends, 60,
                   "all is copied")
        assert last.terminate() == 0
        return account_for(self._source, self._target, self.topic)


@pytest.fixture
def shared(source, target, bridge, unique, delivery):
    return Shared(source, target, bridge, unique, delivery)


def test_instances_share_leave_and_die(shared, source, target):
    first = shared.start()
    shared.wait_shared_by(first)
    shared.work()
    second, third = shared.start(), shared.start()
    shared.wait_shared_by(first, second, third)
    # Any tool shows who has what.
    group, cluster = (f"drawbridge-{shared.name}", source) if shared.delivery == "at-least-once" \
        else (f"__drawbridge.lease.tests.{shared.name}", target)
    assert len(cluster.members(group)) == 3
    time.sleep(1)
    assert third.terminate() == 0
    shared.wait_shared_by(first, second, within=3 + SLACK)
    time.sleep(1)
    second.kill()
    shared.wait_shared_by(first, within=SESSION + 5 + SLACK)
    time.sleep(1)
    doubled = shared.finish()
    if shared.delivery == "exactly-once":
        assert doubled == 0


def test_a_frozen_owner_neither_writes_nor_steals_back(shared):
    first, second = shared.start(), shared.start()
    shared.wait_shared_by(first, second)
    shared.work()
    time.sleep(1)
    first.signal(signal.SIGSTOP)
    shared.wait_shared_by(second, within=SESSION + 5 + SLACK)
    time.sleep(2)
    first.signal(signal.SIGCONT)
    first.wait_for("took this instance for dead")
    shared.wait_shared_by(first, second)
    # The one that did nothing wrong was not disturbed by who woke up.
    assert "pipeline failed" not in second.log_text()
    time.sleep(1)
    doubled = shared.finish()
    if shared.delivery == "exactly-once":
        assert doubled == 0


def test_static_membership_moves_nothing_in_a_restart(shared):
    first, second = shared.start("a"), shared.start("b")
    shared.wait_shared_by(first, second)
    owned = first.with_config("owners", "--format", "json")
    assert owned.status == 0, owned.text
    parts = json.loads(owned.out)[0]["parts"]
    assert len(parts) == PARTITIONS
    for name, instance in (("a", first), ("b", second)):
        assert sum(part["instance"] == name for part in parts) == shared.parts(instance)
    shared.work()
    time.sleep(1)
    dealt = second.log_text().count("pipeline running")
    for end in (first.kill, first.terminate):
        end()
        first.start()
        first.wait_for("pipeline running", timeout=SESSION)
    assert second.log_text().count("pipeline running") == dealt
    doubled = shared.finish()
    if shared.delivery == "exactly-once":
        assert doubled == 0


def test_two_instances_of_one_static_name(shared):
    first = shared.start("a")
    shared.wait_shared_by(first)
    second = shared.start("a")
    second.wait_for("pipeline running")
    first.wait_for("two instances have the daemon.instance a")


def test_another_daemon_in_the_same_group_is_told(source, target, bridge, unique):
    """Both would get a part of the topic, and neither target would have all of it."""
    topic, name = source.create_topic(unique(), PARTITIONS), unique("p")
    source.produce(topic, ({"value": b"%d" % i, "partition": i % PARTITIONS} for i in range(100)))
    one, other = (
        bridge(configuration(source, target, {name: pipeline(topic, to=f"{daemon}-{topic}")},
                             name=daemon, instance=None)) for daemon in ("one", "other"))
    one.until_caught_up()
    assert "was committed by another pipeline" in other.until_caught_up(expect=3).text
    other.configure(configuration(source, target, {name: pipeline(
        topic, to=f"other-{topic}", source={"group": unique("g")})}, name="other", instance=None))
    other.until_caught_up()
    assert sum(map(len, target.read(f"other-{topic}").values())) == 100


def test_a_static_member_gets_the_topics_that_it_asks_for_now(source, target, bridge, unique):
    """Brokers hand a static member that is back what it had before, whatever it subscribes to."""
    first, second, name = source.create_topic(unique("a")), source.create_topic(unique("b")), \
        unique("p")
    for topic in (first, second):
        source.produce(topic, [b"%d" % i for i in range(100)])
    made = bridge(configuration(source, target, {name: pipeline(first)}))
    made.until_caught_up()
    for topics in ([second], [first, second]):
        source.produce(first, [b"more"])
        made.configure(configuration(source, target, {name: pipeline(topics)}))
        made.until_caught_up()
    assert (target.count(first), target.count(second)) == (102, 100)


def test_offsets_are_reset_once_the_stopped_instance_is_forgotten(source, target, bridge, unique):
    topic, name = source.create_topic(unique()), unique("p")
    source.produce(topic, [b"%d" % i for i in range(100)])
    made = bridge(configuration(source, target, {name: pipeline(topic, session_timeout="6s")}))
    made.until_caught_up()
    assert made.with_config("offsets reset", "--pipeline", name, "--topic",
                                 topic, "--to", "earliest").status == 0
    made.until_caught_up()
    assert target.count(topic) == 200
    made.start()
    made.wait_for("pipeline running")
    elsewhere = bridge(configuration(source, target, {name: pipeline(topic, session_timeout="6s")},
                                     instance="other"))
    refused = elsewhere.with_config("offsets reset", "--pipeline", name, "--topic",
                                 topic, "--to", "earliest")
    assert refused.status != 0 and "has members" in refused.text
