"""Another number of shards, another name, another place: a ledger is moved and set."""

import random
import subprocess
import threading
import time

import pytest
import yaml
from crash_test import PARTITIONS, Writer, account_for

from harness import configuration, parts, pipeline, wait_until

SESSION = 6


class Moving:
    """An exactly-once pipeline whose configuration changes, and a topic that is written to."""

    def __init__(self, source, target, bridge, unique, shards=2, rate=2_000, **settings):
        self._source, self._target = source, target
        self.topic, self.name = source.create_topic(unique(), PARTITIONS), unique("p")
        self.settings = {"delivery": "exactly-once", "session_timeout": f"{SESSION}s", **settings}
        self.bridge = bridge(self.config(shards))
        self.writer = Writer(source, self.topic, rate)

    def config(self, shards, name=None, **options):
        return configuration(self._source, self._target, {name or self.name: pipeline(
            self.topic, shards=shards, **self.settings)}, **{"instance": None, **options})

    def configure(self, shards, name=None, **options):
        self.bridge.configure(self.config(shards, name, **options))

    def run(self, seconds):
        self.start()
        time.sleep(seconds)
        assert self.bridge.terminate() == 0

    def start(self):
        self.bridge.start()
        # Every partition has been copied from.
        wait_until(lambda: self.topic in self._target.topics() and
                   len(self._target.read(self.topic)) == PARTITIONS and
                   all(self._target.read(self.topic).values()), 30, "the first records")

    def reshard(self, *arguments, name=None, status=0):
        done = self.bridge.with_config("offsets reshard", "--pipeline", name or self.name,
                                       *arguments)
        assert done.status == status or (status is None and done.status != 0), done.text
        return done

    def finish(self):
        if self.writer.is_alive():
            self.writer.finish()
        self.bridge.until_caught_up()
        assert account_for(self._source, self._target, self.topic) == 0
        assert sum(map(len, self._target.read(self.topic).values())) == self.writer.written


@pytest.fixture
def moving(source, target, bridge, unique):
    return lambda **settings: Moving(source, target, bridge, unique, **settings)


@pytest.mark.parametrize("share", [True, False])
def test_another_number_of_shards(moving, target, share):
    made = moving(share=share)
    made.writer.start()
    made.run(1)
    assert "nothing to do" in made.reshard().out
    for before, after in ((2, 3), (3, 1)):
        made.configure(after)
        refused = made.bridge.until_caught_up(expect=None)
        assert refused.status == 3 and "offsets reshard" in refused.text
        said = made.reshard().out
        assert f"{PARTITIONS} positions moved" in said and made.topic in said, said
        assert "nothing to do" in made.reshard().out
        made.run(1)
        made.configure(before)
        refused = made.bridge.until_caught_up(expect=None)
        assert refused.status == 3 and f"set shards: {after}" in refused.text
        made.configure(after)
    assert target.partitions(f"__drawbridge.ledger.tests.{made.name}.3") == 1
    made.finish()


def test_another_name(moving, target):
    made = moving()
    made.writer.start()
    made.run(1)
    new = made.name + "-new"
    made.configure(3, name=new)
    assert "--from-pipeline" in made.reshard(name=new, status=None).err
    made.reshard("--from-pipeline", made.name, name=new)
    assert "already" in made.reshard("--from-pipeline", made.name, name=new).out
    made.run(1)
    assert new in made.bridge.with_config("offsets list").out
    # The old one starts no second copy, under any number.
    made.configure(2)
    refused = made.bridge.until_caught_up(expect=None)
    assert refused.status == 3 and f"epoch 2 of pipeline {new}" in refused.text
    # And back.
    made.configure(2)
    made.reshard("--from-pipeline", new)
    made.run(1)
    made.finish()
    assert target.partitions(f"__drawbridge.ledger.tests.{made.name}.2") == 2


def test_another_daemon(moving):
    made = moving()
    made.writer.start()
    made.run(1)
    config = made.config(2, name=made.name)
    config["daemon"] |= {"name": "others", "state-directory": "elsewhere"}
    made.bridge.configure(config)
    made.reshard("--from-daemon", "tests")
    made.run(1)
    made.finish()


def test_killed_at_any_moment(moving):
    made = moving(rate=500)
    made.writer.start()
    made.run(1)
    shards = 2
    moved = 0
    for _ in range(10):
        shards = 5 - shards  # 3, 2, 3, ...
        made.configure(shards)
        command = subprocess.Popen(
            [parts.binary(), "offsets", "reshard", "-c", str(made.bridge.config), "--pipeline",
             made.name], cwd=made.bridge.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(random.uniform(0.05, 0.45))  # a move takes some 0.4 s
        command.kill()
        moved += b"positions moved" in command.communicate()[0]
        made.reshard()
        made.run(0.1)
    print(f"{moved} of 10 were done before they were killed")
    made.finish()


def test_refused_while_an_instance_runs(moving):
    made = moving()
    made.writer.start()
    made.start()
    config = made.config(3)
    config["daemon"]["state-directory"] = "elsewhere"
    other = made.bridge.folder / "other.yaml"
    other.write_text(yaml.safe_dump(config))
    refused = made.bridge.command("offsets", "reshard", "-c", other, "--pipeline", made.name)
    assert refused.status != 0 and "other instances run" in refused.err, refused.text
    assert "Stop them" in refused.err
    assert made.bridge.running
    assert made.bridge.terminate() == 0
    made.finish()


def test_two_at_once(moving):
    made = moving()
    made.writer.start()
    made.run(1)
    results = []

    def reshard(number):
        config = made.config(3)
        config["daemon"]["state-directory"] = f"state{number}"
        file = made.bridge.folder / f"other{number}.yaml"
        file.write_text(yaml.safe_dump(config))
        results.append(made.bridge.command("offsets", "reshard", "-c", file, "--pipeline",
                                           made.name))

    threads = [threading.Thread(target=reshard, args=(i,)) for i in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum("positions moved" in each.out for each in results) <= 1, results
    made.configure(3)
    made.reshard()
    made.run(1)
    made.finish()


def test_a_running_daemon_that_does_not_share_is_kept_out(moving):
    """It is to be stopped. Where it was not, it can write nothing more."""
    made = moving(share=False)
    made.writer.start()
    made.start()
    time.sleep(1)
    config = made.config(3)
    config["daemon"]["state-directory"] = "elsewhere"
    other = made.bridge.folder / "other.yaml"
    other.write_text(yaml.safe_dump(config))
    for _ in range(5):  # they take the shards from each other
        done = made.bridge.command("offsets", "reshard", "-c", other, "--pipeline", made.name)
        if done.status == 0:
            break
    assert done.status == 0, done.text
    time.sleep(2)
    made.bridge.kill()
    made.configure(3)
    made.finish()


# ---- setting positions --------------------------------------------------------------------------

def counted(source, target, bridge, unique):
    topic, name = source.create_topic(unique(), partitions=2), unique("p")
    source.produce(topic, [{"value": b"%d" % i, "partition": i % 2, "timestamp": 1_700_000_000_000 +
                            1_000 * i} for i in range(20)])
    made = bridge(configuration(source, target, {name: pipeline(
        topic, delivery="exactly-once", shards=2, session_timeout=f"{SESSION}s")}, instance=None))
    return topic, name, made


@pytest.mark.parametrize("to, again", [("earliest", 20), ("latest", 0), ("4", 12),
                                       ("2023-11-14T22:13:30Z", 10)])
def test_reset(source, target, bridge, unique, to, again):
    topic, name, made = counted(source, target, bridge, unique)
    refused = made.with_config("offsets reset", "--pipeline", name, "--topic", topic, "--to", to)
    assert refused.status == 1 and "no ledger yet" in refused.err
    made.until_caught_up()

    def reset(*arguments):
        done = made.with_config("offsets reset", "--pipeline", name, "--topic", topic, "--to", to,
                                *arguments)
        assert done.status == 0, done.text
        return done.out

    assert "nothing was changed" in reset("--dry-run")
    made.until_caught_up()
    assert sum(map(len, target.read(topic).values())) == 20
    assert "LEDGER" in reset()
    made.until_caught_up()
    assert sum(map(len, target.read(topic).values())) == 20 + again


def test_export_and_import(source, target, bridge, unique):
    topic, name, made = counted(source, target, bridge, unique)
    made.until_caught_up()
    saved = made.folder / "positions"
    saved.write_text(made.with_config("offsets export").out)
    source.produce(topic, [{"value": b"more", "partition": 0}])
    made.until_caught_up()
    imported = made.with_config("offsets import", str(saved))
    assert imported.status == 0, imported.text
    made.until_caught_up()
    values = [r.value for r in target.read(topic)[0]]
    assert values.count(b"more") == 2 and len(values) == 12


def test_reset_refused_while_an_instance_runs(source, target, bridge, unique):
    topic, name, made = counted(source, target, bridge, unique)
    made.start()
    made.wait_for("pipeline running")
    config = configuration(source, target, {name: pipeline(
        topic, delivery="exactly-once", shards=2, session_timeout=f"{SESSION}s")}, instance=None)
    config["daemon"]["state-directory"] = "elsewhere"
    other = bridge(config)
    refused = other.with_config("offsets reset", "--pipeline", name, "--topic", topic, "--to", "0")
    assert refused.status != 0 and "other instances run" in refused.err, refused.text
    assert made.terminate() == 0


# ---- at least once ------------------------------------------------------------------------------

def test_at_least_once(source, target, bridge, unique):
    topic, name = source.create_topic(unique(), partitions=2), unique("p")

    def produce():
        source.produce(topic, [{"value": b"%d" % i, "partition": i % 2} for i in range(20)])

    def config(name, shards):
        return configuration(source, target, {name: pipeline(topic, shards=shards)})

    produce()
    made = bridge(config(name, 2))
    made.until_caught_up()
    made.configure(config(name, 3))
    refused = made.until_caught_up(expect=None)
    assert refused.status != 0 and "offsets reshard" in refused.text
    done = made.with_config("offsets reshard", "--pipeline", name)
    assert done.status == 0 and "3 shards now" in done.out, done.text
    assert "nothing to do" in made.with_config("offsets reshard", "--pipeline", name).out
    produce()
    made.until_caught_up()
    assert target.count(topic) == 40
    new = name + "-new"
    made.configure(config(new, 3))
    done = made.with_config("offsets reshard", "--pipeline", new, "--from-pipeline", name)
    assert done.status == 0 and f"set in group drawbridge-{new}" in done.out, done.text
    assert source.committed(f"drawbridge-{new}", topic) == {0: 20, 1: 20}
    produce()
    made.until_caught_up()
    assert target.count(topic) == 60
