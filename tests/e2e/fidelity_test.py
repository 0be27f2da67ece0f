"""What arrives equals what left: field by field, read by a client that is not the bridge's."""

import os
import random

import pytest
from kafka.partitioner.default import murmur2

from harness import configuration, pipeline, wait_until
from harness.keyring import Keyring
from harness.records import CREATE_TIME, LOG_APPEND_TIME

DAY = 86_400_000

# timestamp, key, value, headers: each is the awkward case of some field.
AWKWARD = [
    (1_700_000_000_000, b"key", b"value", []),
    (1_700_000_000_000, b"key", b"value", [("a", b"1")]),
    # null told from empty, in every place
    (1_700_000_000_001, None, b"", []),
    (1_700_000_000_002, b"", None, []),
    (1_700_000_000_003, None, None, []),
    (1_700_000_000_004, b"", b"", [("null", None), ("empty", b"")]),
    # header order, duplicates, equal duplicates, nameless, binary, not ASCII, many
    (1_700_000_000_005, b"k", b"v", [("b", b"1"), ("a", b"2"), ("b", b"1"), ("b", None), ("b", b"")]),
    (1_700_000_000_006, b"k", b"v", [("", b"nameless"), ("", None)]),
    (1_700_000_000_007, b"k", b"v", [("bin", bytes(range(256))), ("\u00fc\u6f22\U0001f309", b"\0")]),
    (1_700_000_000_008, b"k", b"v", [(f"h{i}", b"%d" % i) for i in range(300)]),
    # names of the bridge's own kind, on a stream that it does not seal
    (1_700_000_000_009, b"k", b"v", [("drawbridge-other", b"x"), ("kafka_", b"y")]),
    # binary and long keys, values that look like text formats or end in zeros
    (1_700_000_000_010, bytes(range(256)) * 8, os.urandom(70_000), []),
    (1_700_000_000_011, b"\0", b"\0" * 100, []),
    # timestamps out of order, old, and the least one
    (1_600_000_000_000, b"older", b"v", []),
    (1, b"oldest", b"v", []),
    (1_700_000_000_012, b"last", b"v", []),
]


def send_awkward(broker, topic, partitions):
    """The awkward records on each partition, in one batch and then one by one."""
    with broker.raw() as producer:
        for partition in range(partitions):
            producer.send(topic, partition, AWKWARD)
            for record in AWKWARD:
                producer.send(topic, partition, [record])


def contents(broker, topic):
    return {p: [r.content() for r in records] for p, records in broker.read(topic).items()}


@pytest.mark.parametrize("way", ["3.9 to 4.1", "4.1 to 3.9"])
def test_every_field_of_awkward_records(way, source, target, bridge, unique):
    here, there = (source, target) if way.startswith("3.9") else (target, source)
    topic = here.create_topic(unique(), partitions=3)
    send_awkward(here, topic, 3)
    bridge(configuration(here, there, {unique("p"): pipeline(topic)})).until_caught_up()
    left, arrived = contents(here, topic), contents(there, topic)
    assert [len(records) for records in left.values()] == [2 * len(AWKWARD)] * 3
    for partition, records in left.items():
        assert arrived[partition] == records
    assert {r.timestamp_type for records in arrived.values() for r in records} == {CREATE_TIME}


def test_order_and_count_of_many_records(source, target, bridge, unique):
    topic = source.create_topic(unique(), partitions=6)
    source.produce(topic, ({"value": b"%08d" % i, "partition": i % 6, "key": b"%d" % (i % 97)}
                           for i in range(60_000)))
    bridge(configuration(source, target, {unique("p"): pipeline(topic)})).until_caught_up()
    arrived = target.read(topic)
    for partition in range(6):
        assert [r.value for r in arrived[partition]] == [b"%08d" % i
                                                         for i in range(partition, 60_000, 6)]


def test_compressed_batches_of_every_codec(source, target, bridge, unique):
    topic = source.create_topic(unique())
    sent = []
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        values = [f"{codec} {i} ".encode() * 20 for i in range(200)]
        source.produce(topic, values, **{"compression.type": codec})
        sent += values
    bridge(configuration(source, target, {unique("p"): pipeline(topic)})).until_caught_up()
    assert target.values(topic) == sent


def test_largest_record_that_the_target_takes(source, target, bridge, unique):
    topic = source.create_topic(unique(), max_message_bytes=3_000_000)
    target.create_topic(topic, max_message_bytes=2_000_000)
    # A batch has 61 bytes of its own, a record some 20.
    sizes = [1_999_800, 10, 1_000_000, 1_500_000, 1_999_800]
    with source.raw() as producer:
        for size in sizes:
            producer.send(topic, 0, [(1_700_000_000_000, None, os.urandom(size), [])])
    bridge(configuration(source, target, {unique("p"): pipeline(topic)})).until_caught_up()
    assert contents(target, topic) == contents(source, topic)


def test_aborted_records_are_never_copied(source, target, bridge, unique):
    topic = source.create_topic(unique())
    source.transaction(topic, [b"kept 1", b"kept 2"])
    source.transaction(topic, [b"aborted"] * 5, commit=False)
    source.transaction(topic, [b"kept 3"])
    source.transaction(topic, [b"aborted too"], commit=False)
    bridge(configuration(source, target, {unique("p"): pipeline(topic)})).until_caught_up()
    assert target.values(topic) == [b"kept 1", b"kept 2", b"kept 3"]


def test_compaction_leaves_holes_that_are_no_gaps(source, target, bridge, unique):
    topic = source.create_topic(
        unique(), cleanup_policy="compact", segment_bytes=16_384, min_cleanable_dirty_ratio=0.01,
        min_compaction_lag_ms=0, delete_retention_ms=0)
    source.produce(topic, ({"key": b"%d" % (i % 10), "value": b"%05d" % i + b"x" * 200}
                           for i in range(2_000)), **{"batch.size": 8_000})
    wait_until(lambda: len(source.read(topic)[0]) < 1_000, 40, "the log to be compacted", pause=0.5)
    config = configuration(source, target, {unique("p"): pipeline(topic)})
    made = bridge(config)
    made.until_caught_up()
    arrived = {r.key: r.value for r in target.read(topic)[0]}
    assert arrived == {b"%d" % (i % 10): b"%05d" % i + b"x" * 200 for i in range(1_990, 2_000)}
    # The record before the checkpoint may be compacted away meanwhile: no reason to stop.
    source.produce(topic, ({"key": b"%d" % (i % 10), "value": b"again"} for i in range(10)))
    made.until_caught_up()
    assert {r.key: r.value for r in target.read(topic)[0]} == {
        b"%d" % i: b"again" for i in range(10)}


def test_log_append_time_becomes_the_copys_create_time(source, target, bridge, unique):
    topic = source.create_topic(unique(), message_timestamp_type="LogAppendTime")
    source.produce(topic, [{"value": b"v", "timestamp": 1_500_000_000_000}])
    bridge(configuration(source, target, {unique("p"): pipeline(topic)})).until_caught_up()
    (left,), (arrived,) = source.read(topic)[0], target.read(topic)[0]
    assert left.timestamp_type == LOG_APPEND_TIME and arrived.timestamp_type == CREATE_TIME
    assert arrived.timestamp == left.timestamp


UNSENDABLE = [
    (1_700_000_000_000, b"1", b"before", []),
    (0, b"2", b"timestamp 0", []),
    (1_700_000_000_000, b"3", b"header", [("nul\0name", b"x"), ("good", b"y")]),
    (1_700_000_000_000, b"4", b"after", []),
]


# The client library passes a header name with a NUL on as it came, but cannot make one: the policy
# is about records whose headers a transform changes.
def sealing(keyring, **settings):
    return dict(transforms=[{"encrypt": {"domain": keyring.domain}}], **settings)


def test_plain_copy_keeps_a_header_name_with_a_nul(source, target, bridge, unique):
    topic = source.create_topic(unique())
    with source.raw() as producer:
        producer.send(topic, 0, [UNSENDABLE[0], UNSENDABLE[2], UNSENDABLE[3]])
    bridge(configuration(source, target, {unique("p"): pipeline(topic)})).until_caught_up()
    assert contents(target, topic) == contents(source, topic)


def test_unsendable_records_stop_the_pipeline(source, target, bridge, unique, tmp_path):
    keyring = Keyring(tmp_path / "dc.keyring", "dc")
    for name, records, word in [("zero", UNSENDABLE[:2], "timestamp"),
                                ("nul", [UNSENDABLE[0], UNSENDABLE[2]], "header")]:
        topic = source.create_topic(unique(name))
        with source.raw() as producer:
            producer.send(topic, 0, records + UNSENDABLE[3:])
        made = bridge(configuration(
            source, target, {unique("p"): pipeline(topic, **sealing(keyring))}, [keyring]))
        done = made.until_caught_up(expect=None)
        assert done.status != 0
        assert word in done.text and topic in done.text
        assert target.count(topic) == 1


def test_unsendable_records_are_adapted_and_counted(source, target, bridge, unique, tmp_path):
    keyring = Keyring(tmp_path / "dc.keyring", "dc")
    topic = source.create_topic(unique())
    with source.raw() as producer:
        producer.send(topic, 0, UNSENDABLE)
    made = bridge(configuration(source, target, {
        unique("p"): pipeline(topic, target={"unsendable": "adapt"}, **sealing(keyring))},
        [keyring]))
    made.until_caught_up()
    before, zero, nul, after = target.read(topic)[0]
    assert (before.key, after.key) == (b"1", b"4")
    assert zero.key == b"2" and abs(zero.timestamp) <= 1
    assert nul.key == b"3" and ("good", b"y") in nul.headers
    assert all("\0" not in name for name, _ in nul.headers)
    assert '"adapted":2' in made.log.read_text()


def test_missing_partition_is_an_error_unless_hashed(source, target, bridge, unique):
    topic = source.create_topic(unique(), partitions=4)
    rows = [{"value": b"%d" % i, "key": f"key {i}".encode(), "partition": i % 4} for i in range(40)]
    rows += [{"value": b"null key %d" % p, "partition": p} for p in range(4)]
    source.produce(topic, rows)
    target.create_topic(topic, partitions=3)
    strict = bridge(configuration(source, target, {unique("p"): pipeline(topic, create=False)}))
    done = strict.until_caught_up(expect=None)
    assert done.status != 0 and topic in done.text and "partition" in done.text
    assert set(target.read(topic)) == {0, 1, 2}

    hashed = target.create_topic(unique("hashed"), partitions=3)
    bridge(configuration(source, target, {unique("q"): pipeline(
        topic, to=hashed, create=False, target={"partitions": "key-hash"})})).until_caught_up()
    arrived = target.read(hashed)
    assert sum(map(len, arrived.values())) == 44
    for partition, records in arrived.items():
        for record in records:
            number = int(record.value.split()[-1]) if record.key is None else int(record.value)
            came_from = number if record.key is None else number % 4
            if came_from < 3:
                assert partition == came_from  # it has that partition: the number is kept
            elif record.key is None:
                assert partition == came_from % 3
            else:
                assert partition == (murmur2(record.key) & 0x7FFFFFFF) % 3


def test_created_topic_mirrors_the_sources_settings(source, target, bridge, unique):
    kept = source.create_topic(unique("kept"), 5, retention_ms=123 * DAY, max_message_bytes=5_000_000)
    compacted = source.create_topic(unique("compacted"), 2, cleanup_policy="compact")
    stamped = source.create_topic(unique("stamped"), message_timestamp_type="LogAppendTime")
    for topic in (kept, compacted, stamped):
        source.produce(topic, [{"key": b"k", "value": b"v"}])
    bridge(configuration(source, target, {
        unique("p"): pipeline([kept, compacted, stamped])})).until_caught_up()
    assert target.partitions(kept) == 5 and target.partitions(compacted) == 2
    settings = target.topic_config(kept)
    assert settings["retention.ms"] == str(123 * DAY)
    assert int(settings["max.message.bytes"]) >= 5_000_000
    assert target.topic_config(compacted)["cleanup.policy"] == "compact"
    for topic in (kept, compacted, stamped):
        settings = target.topic_config(topic)
        # LogAppendTime would destroy the original times, and 4.x refuses them an hour ahead.
        assert settings["message.timestamp.type"] == "CreateTime"
        assert int(settings["message.timestamp.after.max.ms"]) > 1000 * DAY


def test_nothing_is_created_by_asking(source, target, bridge, unique):
    topic = source.create_topic(unique())
    source.produce(topic, [b"v"])
    made = bridge(configuration(source, target, {unique("p"): pipeline(topic, create=False)}))
    done = made.until_caught_up(expect=None)
    assert done.status != 0
    assert topic in done.text and "create-topics" in done.text
    assert topic not in target.topics()
    missing = unique("missing")
    bridge(configuration(source, target, {unique("p"): pipeline(missing)})).until_caught_up(
        expect=None)
    assert missing not in source.topics() and missing not in target.topics()


def test_random_records_arrive_as_they_left(source, target, bridge, unique):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)

    def blob(most):
        return None if dice.random() < 0.1 else dice.randbytes(dice.choice([0, 1, 7, most]))

    topic = source.create_topic(unique(), partitions=4)
    with source.raw() as producer:
        for _ in range(60):
            producer.send(topic, dice.randrange(4), [
                (dice.randrange(1, 1_700_000_000_000), blob(50), blob(2_000),
                 [(dice.choice("abcd") * dice.randrange(0, 3), blob(30))
                  for _ in range(dice.randrange(4))])
                for _ in range(dice.randrange(1, 60))])
    bridge(configuration(source, target, {unique("p"): pipeline(topic)})).until_caught_up()
    assert contents(target, topic) == contents(source, topic)
