"""The harness itself, on both broker versions: what it says about records must be beyond doubt."""

import os

import confluent_kafka
import pytest

from harness import Keyring, Record, wait_until
from harness.keyring import envelope
from harness.records import CREATE_TIME, LOG_APPEND_TIME

AWKWARD = [
    # timestamp, key, value, headers
    (1_700_000_000_000, b"key", b"value", [("a", b"1"), ("b", b"2"), ("a", b"1"), ("a", b"")]),
    (0, None, b"", [("null", None), ("empty", b""), ("", b"no name")]),
    (1, b"", None, []),
    (1_700_000_000_001, None, None, [("nul\0name", b"\0\xff")]),
    (1_500_000_000_000, bytes(range(256)), os.urandom(1000), [("\u00fc\u6f22", bytes(range(256)))]),
]


@pytest.fixture(params=["source", "target"])
def broker(request):
    return request.getfixturevalue(request.param)


def test_awkward_records_read_back_field_by_field(broker, unique):
    topic = broker.create_topic(unique(), partitions=2)
    with broker.raw() as producer:
        assert producer.send(topic, 1, AWKWARD) == 0
        assert producer.send(topic, 1, AWKWARD[:1]) == len(AWKWARD)
    read = broker.read(topic)
    assert read[0] == []
    assert [(r.timestamp, r.key, r.value, list(r.headers)) for r in read[1]] == AWKWARD + AWKWARD[:1]
    assert [r.offset for r in read[1]] == list(range(len(AWKWARD) + 1))
    assert {(r.partition, r.timestamp_type) for r in read[1]} == {(1, CREATE_TIME)}


def test_refused_batch_is_an_error(broker, unique):
    topic = broker.create_topic(unique(), max_message_bytes=1000)
    with broker.raw() as producer, pytest.raises(OSError, match="error 10"):
        producer.send(topic, 0, [(1, None, b"x" * 2000, [])])


def test_log_append_time_is_told_apart(broker, unique):
    topic = broker.create_topic(unique(), message_timestamp_type="LogAppendTime")
    broker.produce(topic, [{"value": b"v", "timestamp": 1}])
    (record,) = broker.read(topic)[0]
    assert record.timestamp_type == LOG_APPEND_TIME and record.timestamp > 1_600_000_000_000


def test_markers_on_disk(broker, unique):
    topic = broker.create_topic(unique())
    other = broker.create_topic(unique("other"))
    marker = os.urandom(16).hex().encode()
    assert broker.find_on_disk(marker) == []
    broker.produce(topic, [b"before " + marker + b" after"])
    broker.produce(other, [b"nothing"])
    (found,) = broker.find_on_disk(marker)
    assert found.startswith(f"{topic}-0/")
    assert broker.find_on_disk(marker, other) == []


def test_topics(broker, unique):
    topic = broker.create_topic(unique(), 2, cleanup_policy="compact")
    assert topic in broker.topics() and broker.partitions(topic) == 2
    assert broker.topic_config(topic)["cleanup.policy"] == "compact"
    assert broker.topic_config(topic)["retention.ms"] == "-1"
    broker.add_partitions(topic, 3)
    assert broker.partitions(topic) == 3
    broker.delete_topic(topic)
    assert topic not in broker.topics()


def test_delete_records_moves_the_start(broker, unique):
    topic = broker.create_topic(unique())
    broker.produce(topic, [b"%d" % i for i in range(10)])
    broker.delete_records(topic, 0, 4)
    assert broker.ends(topic) == {0: (4, 10)}
    assert broker.values(topic) == [b"%d" % i for i in range(4, 10)]


def test_transactions_and_isolation(broker, unique):
    topic = broker.create_topic(unique())
    broker.transaction(topic, [b"aborted"] * 3, commit=False)
    broker.transaction(topic, [b"kept"] * 2)
    assert broker.values(topic) == [b"kept"] * 2
    assert len(broker.read(topic, "read_uncommitted")[0]) == 5


def test_group_offsets_and_the_operators_tool(broker, unique):
    topic, group = broker.create_topic(unique()), unique("group")
    broker.produce(topic, [b"x"] * 10)
    assert broker.committed(group, topic) == {0: None}
    consumer = confluent_kafka.Consumer(broker.client(**{"group.id": group}))
    consumer.commit(offsets=[confluent_kafka.TopicPartition(topic, 0, 7)], asynchronous=False)
    consumer.close()
    assert broker.committed(group, topic) == {0: 7}
    broker.consumer_groups("--group", group, "--topic", topic, "--reset-offsets", "--to-offset", "3",
                           "--execute")
    assert broker.committed(group, topic) == {0: 3}


def test_records_outlive_kill_and_restart(own_broker, unique):
    broker = own_broker("4.1")
    topic = broker.create_topic(unique())
    broker.produce(topic, [b"one"])
    broker.restart(clean=False)
    broker.produce(topic, [b"two"])
    broker.restart()
    assert broker.values(topic) == [b"one", b"two"]


def test_secure_listener_wants_certificate_and_password(secure, unique):
    topic = secure.create_topic(unique())
    secure.produce(topic, [b"plain"])
    good = secure.secure_properties() | {"sasl.password": secure.PASSWORD}
    admin = confluent_kafka.admin.AdminClient(good)
    assert topic in admin.list_topics(timeout=20).topics
    for wrong in ({"sasl.password": "wrong"}, {"ssl.ca.location": "/etc/hostname"}):
        with pytest.raises(confluent_kafka.KafkaException):
            confluent_kafka.admin.AdminClient(good | wrong).list_topics(timeout=4)


def test_clients_stay_behind_the_proxy(own_broker, toxiproxy, unique):
    broker = own_broker("4.1", toxi=True)
    toxiproxy.add("kafka", broker.toxi_port, broker.toxi_upstream)
    topic = broker.create_topic(unique())
    through = {"bootstrap.servers": broker.toxi_bootstrap}
    admin = confluent_kafka.admin.AdminClient(through)
    (node,) = admin.list_topics(timeout=10).brokers.values()
    assert node.port == broker.toxi_port
    toxiproxy.toxic("kafka", "latency", latency=300)
    producer = confluent_kafka.Producer(through | {"linger.ms": 0})
    took = []
    producer.produce(topic, b"slow", on_delivery=lambda e, m: took.append(e or m.latency()))
    producer.flush(20)
    assert took[0] >= 0.3
    toxiproxy.enable("kafka", False)
    producer.produce(topic, b"cut", on_delivery=lambda e, m: took.append(e or m.latency()))
    assert producer.flush(1) == 1
    toxiproxy.enable("kafka", True)
    wait_until(lambda: producer.flush(1) == 0, 20, "the producer to recover")
    assert broker.values(topic) == [b"slow", b"cut"]


def test_keyring_seals_what_it_opens(tmp_path):
    ring, other = Keyring(tmp_path / "a", "dc"), Keyring(tmp_path / "b", "dc")
    value, headers = ring.seal(b"plain", b"orders", key=b"k")
    record = Record(0, 0, 0, 0, b"k", value, tuple(headers))
    assert ring.open(record, b"orders") == b"plain"
    for reader, dataset in [(other, b"orders"), (ring, b"others")]:
        with pytest.raises(envelope.Refused, match="tampered"):
            reader.open(record, dataset)
