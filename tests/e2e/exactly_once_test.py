"""delivery: exactly-once. A read_committed reader of the target sees each record once, in order,
whatever happens to the bridge and its brokers."""

import random
import shutil
import signal
import time

import confluent_kafka
import yaml
from crash_test import PARTITIONS, Writer, account_for

from harness import configuration, pipeline, wait_until


def exactly_once(topic, **settings):
    return pipeline(topic, **{"delivery": "exactly-once", "shards": 2, **settings})


def two_daemons(source, target, bridge, unique, rate):
    """Two that do not know of each other, not started, and a topic that is being written to."""
    topic = source.create_topic(unique(), PARTITIONS)
    config = configuration(source, target, {unique("p"): exactly_once(topic, share=False)})
    writer = Writer(source, topic, rate)
    writer.start()
    return topic, writer, bridge(config), bridge(config)


def test_kill_9_and_a_lost_state_directory(source, target, bridge, unique):
    topic = source.create_topic(unique(), PARTITIONS)
    made = bridge(configuration(source, target, {unique("p"): exactly_once(topic)}))
    writer = Writer(source, topic, rate=4_000)
    writer.start()
    for life in range(15):
        made.start()
        time.sleep(random.uniform(0.1, 1.5))
        made.kill()
        if life % 3 == 2:
            shutil.rmtree(made.folder / "state")
    written = writer.finish()
    made.until_caught_up()
    assert account_for(source, target, topic) == 0
    assert sum(map(len, target.read(topic).values())) == written


def test_stops_leave_nothing_open(source, target, bridge, unique):
    topic = source.create_topic(unique(), PARTITIONS)
    name = unique("p")
    made = bridge(configuration(source, target, {name: exactly_once(topic)}))
    writer = Writer(source, topic, rate=10_000)
    writer.start()
    for _ in range(3):
        made.start()
        made.wait_for("pipeline running")
        time.sleep(random.uniform(0.5, 1.0))
        assert made.terminate() == 0
        # Nothing hides behind an open transaction.
        assert target.read(topic, "read_uncommitted") == target.read(topic)
    writer.finish()
    made.until_caught_up()
    assert account_for(source, target, topic) == 0
    # The usual lag tools see the end.
    committed = source.committed(f"drawbridge-{name}", topic)
    assert committed == {p: end for p, (_, end) in source.ends(topic).items()}


def test_a_frozen_predecessor_can_write_nothing(source, target, bridge, unique):
    topic, writer, first, second = two_daemons(source, target, bridge, unique, rate=4_000)
    first.start()
    first.wait_for("pipeline running")
    time.sleep(1)
    first.signal(signal.SIGSTOP)
    second.start()
    wait_until(lambda: sum(map(len, target.read(topic).values())) > 8_000, 60, "the successor")
    first.signal(signal.SIGCONT)
    first.wait_for("fenced")
    first.kill()
    writer.finish()
    second.kill()
    second.until_caught_up()
    assert account_for(source, target, topic) == 0


def test_two_daemons_of_one_name_double_nothing(source, target, bridge, unique):
    """They take the pipeline from each other, again and again."""
    topic, writer, first, second = two_daemons(source, target, bridge, unique, rate=3_000)
    first.start()
    second.start()
    time.sleep(10)
    assert "fenced" in first.log_text() + second.log_text()
    writer.finish()
    first.kill()
    second.kill()
    first.until_caught_up()
    assert account_for(source, target, topic) == 0


def test_brokers_restart(own_broker, bridge, unique):
    here, there = own_broker("3.9", name="here"), own_broker("4.1", name="there")
    topic = here.create_topic(unique(), PARTITIONS)
    made = bridge(configuration(here, there, {unique("p"): exactly_once(topic)})).start()
    writer = Writer(here, topic, rate=2_000)
    writer.start()
    made.wait_for("pipeline running")
    time.sleep(1)
    for kill in (False, True):
        if kill:
            there.kill()
        else:
            there.stop()
        time.sleep(2)
        there.start()
        time.sleep(3)
    writer.finish()
    assert made.terminate() == 0
    made.until_caught_up()
    assert account_for(here, there, topic) == 0


def test_a_strangers_open_transaction_hides_no_position(source, target, bridge, unique):
    topic, name = source.create_topic(unique(), PARTITIONS), unique("p")
    made = bridge(configuration(source, target, {name: exactly_once(topic)}))

    def copied():
        return sum(map(len, target.read(topic).values()))

    def produce(first):
        source.produce(topic, [{"value": b"%d" % i, "partition": i % PARTITIONS}
                               for i in range(first, first + 200)])

    produce(0)
    made.until_caught_up()
    made.start()
    produce(200)
    wait_until(lambda: copied() == 400, 60, "the shards to work")
    stranger = confluent_kafka.Producer(target.client(**{"transactional.id": unique("stranger")}))
    stranger.init_transactions(30)
    stranger.begin_transaction()
    for shard in range(2):
        stranger.produce(f"__drawbridge.ledger.tests.{name}.1", b"?", b"?", partition=shard)
    stranger.flush(30)
    produce(400)
    wait_until(lambda: copied() == 600, 60, "what is committed behind the open transaction")
    assert made.terminate() == 0
    produce(600)
    made.start()
    made.wait_for("somebody's transaction is open")
    assert copied() == 600
    stranger.abort_transaction(30)
    wait_until(lambda: copied() >= 800, 60, "the rest")
    assert made.terminate() == 0
    assert account_for(source, target, topic) == 0


def test_dead_letters_go_with_the_transaction(source, target, bridge, unique):
    """Records that the broker refuses, among good ones: each is once on one of the two topics."""
    topic, dead = source.create_topic(unique(), 2), unique("dead")
    target.create_topic(topic, 2, message_timestamp_after_max_ms=3_600_000)
    target.create_topic(dead, 2, message_timestamp_after_max_ms=10**12)
    now = int(time.time() * 1000)
    source.produce(topic, (
        {"value": b"%d" % i, "partition": i % 2,
         "timestamp": now + (86_400_000 if i % 500 == 499 else 0)} for i in range(3_000)))
    made = bridge(configuration(source, target, {unique("p"): exactly_once(
        topic, create=False, on_error={"dead-letter": {"topic": dead}})}))
    made.until_caught_up()
    bad = [b"%d" % i for i in range(499, 3_000, 500)]
    assert sorted(target.values(dead)) == sorted(bad)
    for partition, records in target.read(topic).items():
        assert [r.value for r in records] == [
            b"%d" % i for i in range(partition, 3_000, 2) if b"%d" % i not in bad]


def test_the_ledger_follows_a_pipeline_that_was_at_least_once(source, target, bridge, unique):
    topic, name = source.create_topic(unique(), PARTITIONS), unique("p")
    made = bridge(configuration(source, target, {name: pipeline(topic, shards=2)}))
    source.produce(topic, [b"%d" % i for i in range(1_000)])
    made.until_caught_up()
    made.configure(yaml.safe_dump(configuration(source, target, {name: exactly_once(topic)})))
    source.produce(topic, [b"%d" % i for i in range(1_000, 2_000)])
    made.until_caught_up()
    assert sorted(map(int, target.values(topic))) == list(range(2_000))


def test_check_looks_at_the_ledger(source, target, bridge, unique):
    topic, name = source.create_topic(unique(), 1), unique("p")
    made = bridge(configuration(source, target, {name: exactly_once(topic)}))
    assert "will be made with 2 partitions" in made.with_config("check").out
    source.produce(topic, [b"1"])
    made.until_caught_up()
    checked = made.with_config("check")
    assert checked.status == 0
    assert f"transactions can be begun as tests.{name}.check" in checked.out
    # Another number of shards would read nothing twice, or everything: it is refused.
    made.configure(yaml.safe_dump(configuration(
        source, target, {name: exactly_once(topic, shards=3)})))
    assert "set shards: 2" in made.until_caught_up(expect=3).err


def test_a_deleted_target_topic_is_made_again(source, target, bridge, unique):
    """Deleted right before records come, which the coordinator then knows no partition for."""
    gone, kept = (source.create_topic(unique(t), PARTITIONS) for t in ("gone", "kept"))
    made = bridge(configuration(source, target, {unique("p"): exactly_once(
        [gone, kept], shards=1, refresh="5s")})).start()
    made.wait_for("pipeline running")
    for begin, pause in ((0, 0), (200, 0), (400, 0.3)):
        if begin:
            target.admin.delete_topics([gone])[gone].result(30)
            time.sleep(pause)
        new = [b"%d" % i for i in range(begin, begin + 200)]
        for topic in (gone, kept):
            source.produce(topic, new)
        wait_until(lambda: _there(target, gone) == 200 and _there(target, kept) == begin + 200, 30,
                   "both topics")
        assert sorted(target.values(gone)) == sorted(new)
    assert sorted(map(int, target.values(kept))) == list(range(600))
    assert made.terminate() == 0


def test_a_deleted_target_topic_that_may_not_be_made_is_named(source, target, bridge, unique):
    topic = source.create_topic(unique(), 2)
    target.create_topic(topic, 2)
    made = bridge(configuration(source, target, {unique("p"): exactly_once(
        topic, create=False)})).start()
    made.wait_for("pipeline running")
    source.produce(topic, [b"1"])
    wait_until(lambda: _there(target, topic) == 1, 30, "the first record")
    target.admin.delete_topics([topic])[topic].result(30)
    source.produce(topic, [b"2"])
    made.wait_for("unknown-topic")
    target.create_topic(topic, 2)
    wait_until(lambda: _there(target, topic) == 1, 60, "the second record")
    assert target.values(topic) == [b"2"]
    assert made.terminate() == 0


def _there(broker, topic):
    try:
        return sum(map(len, broker.read(topic).values()))
    except (LookupError, confluent_kafka.KafkaException):  # it is just being deleted, or made
        return 0


def test_a_transaction_timeout_that_the_brokers_refuse(source, own_broker, bridge, unique):
    there = own_broker("4.1", properties={"transaction.max.timeout.ms": "30000"})
    topic = source.create_topic(unique(), 1)
    made = bridge(configuration(source, there, {unique("p"): exactly_once(topic)}))
    source.produce(topic, [b"1"])
    said = made.until_caught_up(expect=3).err
    assert "transaction.max.timeout.ms is less: raise it" in said
    assert "60000 ms" in said


def test_a_ledger_that_takes_no_records_is_named(source, target, bridge, unique):
    topic, name = source.create_topic(unique(), 2), unique("p")
    made = bridge(configuration(source, target, {name: exactly_once(topic)}))
    source.produce(topic, [b"%d" % i for i in range(100)])
    made.until_caught_up()
    ledger = f"__drawbridge.ledger.tests.{name}.1"
    target.configure_topic(ledger, max_message_bytes=100)
    source.produce(topic, [b"%d" % i for i in range(100, 200)])
    said = made.until_caught_up(expect=3).err
    assert f"the ledger {ledger}" in said
    assert "raise the max.message.bytes of that topic" in said
    assert said.count("transaction aborted") < 10
    target.configure_topic(ledger, max_message_bytes=1_048_588)
    made.until_caught_up()
    assert sorted(map(int, target.values(topic))) == list(range(200))
