"""Records that cannot go: stopped at, dropped and counted, or put aside; never passed through.

Each class of failure plants a marker, and every log segment of the target is searched for it.
"""

import json
import os
import time

import pytest

from harness import Keyring, configuration, pipeline, wait_until
from harness.keyring import KEYS_HEADER

DATASET = "orders"
NOW = 1_700_000_000_000


@pytest.fixture
def rings(tmp_path):
    return Keyring(tmp_path / "dc.keyring", "dc"), Keyring(tmp_path / "aws.keyring", "aws")


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def bad_records(dc, stranger, marker):
    """{name: (key, value, headers, error code)}: one record for each way to be refused."""
    def seal(plain=marker, key=b"k", **options):
        return dc.seal(plain, DATASET.encode(), key=key, **options)

    value, headers = seal()
    keys = headers[0][1]
    other, other_headers = dc.seal(marker, b"other-dataset", key=b"k")
    strange, strange_headers = stranger.seal(marker, DATASET.encode(), key=b"k")
    return {
        "plaintext": (b"k", marker, [], "envelope-missing"),
        "plaintext with a keys header": (b"k", marker, headers, "envelope-missing"),
        "no wrapped keys": (b"k", value, [], "envelope-malformed"),
        "two keys headers": (b"k", value, headers * 2, "envelope-malformed"),
        "null keys header": (b"k", value, [(KEYS_HEADER, None)], "envelope-malformed"),
        "cut short": (b"k", value[:60], headers, "envelope-malformed"),
        "unknown version": (b"k", flip(value, 4), headers, "envelope-unsupported"),
        "unknown flag": (b"k", value[:6] + b"\x80" + value[7:], headers, "envelope-unsupported"),
        "tampered tag": (b"k", flip(value, -1 % len(value)), headers, "envelope-tampered"),
        "tampered ciphertext": (b"k", flip(value, len(value) - 20), headers, "envelope-tampered"),
        "tampered key id": (b"k", flip(value, 8), headers, None),
        "tampered wrapped key": (b"k", value, [(KEYS_HEADER, flip(keys, len(keys) - 1))],
                                 "envelope-tampered"),
        "another record's key": (b"not k", value, headers, "envelope-tampered"),
        "another dataset": (b"k", other, other_headers, None),
        "a stranger's key domain": (b"k", strange, strange_headers, "envelope-foreign"),
    }


@pytest.mark.parametrize("transform", ["decrypt", "reencrypt", "rewrap"])
def test_every_refusal_becomes_a_dead_letter_on_the_source(
        transform, source, target, bridge, unique, rings, tmp_path):
    dc, aws = rings
    stranger = Keyring(tmp_path / "x.keyring", "elsewhere")
    marker = b"MARKER-" + os.urandom(12).hex().encode()
    bad = bad_records(dc, stranger, marker)
    topic, dead = source.create_topic(unique()), source.create_topic(unique("dead"))
    good = [b"good %d" % i for i in range(len(bad) + 1)]
    with source.raw() as producer:
        for plain, (key, value, headers, _) in zip(good, [*bad.values(), (None, None, [], None)]):
            sealed, sealed_headers = dc.seal(plain, DATASET.encode(), key=b"good")
            producer.send(topic, 0, [(NOW, b"good", sealed, sealed_headers)])
            if value is not None:
                producer.send(topic, 0, [(NOW, key, value, headers)])
    step = {"decrypt": {"domain": "dc"}} if transform == "decrypt" else {"rekey": {
        "from": "dc", "to": "aws", "mode": transform,
        **({"verify": "all"} if transform == "rewrap" else {})}}
    made = bridge(configuration(source, target, {unique("p"): pipeline(
        topic, dataset=DATASET, transforms=[step],
        on_error={"dead-letter": {"topic": dead, "cluster": "src"}})}, rings))
    made.until_caught_up()

    arrived = target.read(topic)[0]
    if transform == "decrypt":
        assert [r.value for r in arrived] == good
    else:
        assert [aws.open(r, DATASET.encode()) for r in arrived] == good
    letters = source.read(dead)[0]
    assert len(letters) == len(bad)
    for letter, (name, (key, value, headers, code)) in zip(letters, bad.items(), strict=True):
        assert (letter.key, letter.value) == (key, value), name
        assert list(letter.headers[:len(headers)]) == headers, name
        told = letter.headers[len(headers):]
        words = b" ".join((v or b"") for _, v in told).decode()
        assert "src" in words and topic in words, name
        if code:
            assert code in words, f"{name}: {words}"
        assert marker.decode() not in words, name
    # What failed reaches the target in no form; clear values of good records do under `decrypt`.
    assert target.find_on_disk(marker) == []


def test_dead_letters_on_the_target_are_sealed_whole(source, target, bridge, unique, rings, tmp_path):
    dc, aws = rings
    stranger = Keyring(tmp_path / "x.keyring", "elsewhere")
    marker = b"MARKER-" + os.urandom(12).hex().encode()
    bad = bad_records(dc, stranger, marker)
    topic, dead = source.create_topic(unique()), unique("dead")
    target.create_topic(dead)
    with source.raw() as producer:
        for key, value, headers, _ in bad.values():
            producer.send(topic, 0, [(NOW, key, value, headers + [("h", marker), ("n", None)])])
    made = bridge(configuration(source, target, {unique("p"): pipeline(
        topic, dataset=DATASET, require={"in": ["native"], "out": ["native"]},
        transforms=[{"rekey": {"from": "dc", "to": "aws", "mode": "reencrypt"}}],
        on_error={"dead-letter": {"topic": dead, "seal": "dc"}})}, rings))
    made.until_caught_up()
    letters = target.read(dead)[0]
    assert len(letters) == len(bad)
    for letter, (key, value, headers, _) in zip(letters, bad.values(), strict=True):
        assert dc.open_whole(letter, DATASET.encode()) == (
            key, value, headers + [("h", marker), ("n", None)])
    assert target.find_on_disk(marker) == []
    # Why each of them failed is told without a key.
    inspect = ("inspect", "--cluster", "dst", "--topic", dead, "--count", len(bad))
    shown = made.with_config(*inspect, "--format", "json")
    reasons = [json.loads(line)["dead_letter"] for line in shown.out.splitlines()]
    assert [(r["topic"], r["offset"]) for r in reasons] == [
        (topic, str(i)) for i in range(len(bad))]
    for reason, (name, (_, _, _, code)) in zip(reasons, bad.items(), strict=True):
        assert code is None or reason["error"] == code, name
    table = made.with_config(*inspect).out
    assert "DEAD LETTER OF" in table and f"{topic} [0] 3 of src, " in table
    assert marker.decode() not in shown.text + table


def test_stop_leaves_the_record_for_later(source, target, bridge, unique, rings):
    dc, _ = rings
    topic = source.create_topic(unique())
    value, headers = dc.seal(b"good", DATASET.encode())
    marker = b"MARKER-" + os.urandom(12).hex().encode()
    with source.raw() as producer:
        producer.send(topic, 0, [(NOW, None, value, headers)])
        producer.send(topic, 0, [(NOW, None, marker, [])])
        producer.send(topic, 0, [(NOW, None, value, headers)])
    name = unique("p")
    config = configuration(source, target, {name: pipeline(
        topic, dataset=DATASET, transforms=[{"decrypt": {"domain": "dc"}}])}, [dc])
    made = bridge(config)
    done = made.until_caught_up(expect=None)
    assert done.status != 0 and "envelope-missing" in done.text
    # where it is and what to do about it, never what it holds
    assert topic in done.text and marker.decode() not in done.text
    assert target.values(topic) == [b"good"]
    made.until_caught_up(expect=None)
    assert target.values(topic) == [b"good"]
    # An operator decides to drop it.
    config["pipelines"][name]["on-error"] = "drop"
    made.configure(config)
    made.until_caught_up()
    assert target.values(topic) == [b"good", b"good"]
    assert "dropped" in made.log.read_text()
    assert target.find_on_disk(marker) == []


def test_one_record_too_large_fails_alone(source, target, bridge, unique):
    """A broker refuses the whole batch for one record; the others must arrive, in order."""
    topic, dead = source.create_topic(unique(), max_message_bytes=2_000_000), unique("dead")
    source.create_topic(dead, max_message_bytes=2_000_000)
    target.create_topic(topic, max_message_bytes=100_000)
    rows = [b"%04d" % i if i % 100 != 50 else b"%04d" % i + b"x" * 150_000 for i in range(500)]
    source.produce(topic, rows, **{"message.max.bytes": 2_000_000})
    bridge(configuration(source, target, {unique("p"): pipeline(
        topic, create=False, on_error={"dead-letter": {"topic": dead, "cluster": "src"}})}
    )).until_caught_up()
    assert target.values(topic) == [r for r in rows if len(r) == 4]
    assert source.values(dead) == [r for r in rows if len(r) > 4]


def test_a_raised_limit_holds_without_a_restart(source, target, bridge, unique):
    topic, dead = source.create_topic(unique(), max_message_bytes=2_000_000), unique("dead")
    source.create_topic(dead, max_message_bytes=2_000_000)
    target.create_topic(topic, max_message_bytes=100_000)
    made = bridge(configuration(source, target, {unique("p"): pipeline(
        topic, create=False, on_error={"dead-letter": {"topic": dead, "cluster": "src"}})}
    )).start()
    large = b"x" * 1_500_000
    source.produce(topic, [large], **{"message.max.bytes": 2_000_000})
    wait_until(lambda: source.count(dead) == 1, 30, "the dead letter")
    target.configure_topic(topic, max_message_bytes=2_000_000)
    made.wait_for("another max.message.bytes")
    source.produce(topic, [large], **{"message.max.bytes": 2_000_000})
    wait_until(lambda: target.count(topic) == 1, 30, "the large record")
    assert made.terminate() == 0
    assert target.values(topic) == [large] and source.count(dead) == 1


def test_one_refused_timestamp_fails_alone(source, target, bridge, unique):
    """4.x brokers refuse timestamps more than an hour ahead, with everything else in the batch."""
    topic, dead = source.create_topic(unique()), source.create_topic(unique("dead"))
    target.create_topic(topic)
    ahead = int(time.time() * 1000) + 2 * 3_600_000
    rows = [(b"%03d" % i, ahead if i in (20, 21, 70) else NOW + i) for i in range(100)]
    with source.raw() as producer:
        producer.send(topic, 0, [(t, b"k", v, []) for v, t in rows])
    bridge(configuration(source, target, {unique("p"): pipeline(
        topic, create=False, on_error={"dead-letter": {"topic": dead, "cluster": "src"}})}
    )).until_caught_up()
    assert target.values(topic) == [v for v, t in rows if t != ahead]
    letters = source.read(dead)[0]
    assert [r.value for r in letters] == [v for v, t in rows if t == ahead]
    assert all("bad-timestamp" in json.dumps([str(v) for _, v in r.headers]) for r in letters)


def test_none_overtakes_a_record_that_is_refused(source, target, bridge, unique):
    """Many requests wait behind the one that fails: what arrives first is never skipped over."""
    topic, dead = source.create_topic(unique()), source.create_topic(unique("dead"))
    target.create_topic(topic)
    ahead = int(time.time() * 1000) + 2 * 3_600_000
    bad = {300, 9_000, 9_001}
    rows = [(b"%05d" % i + b"z" * 1_000, ahead if i in bad else NOW + i) for i in range(15_000)]
    with source.raw() as producer:
        for start in range(0, len(rows), 500):
            producer.send(topic, 0, [(t, b"k", v, []) for v, t in rows[start:start + 500]])
    bridge(configuration(source, target, {unique("p"): pipeline(
        topic, create=False, on_error={"dead-letter": {"topic": dead, "cluster": "src"}})}
    )).until_caught_up()
    wanted = [v for i, (v, _) in enumerate(rows) if i not in bad]
    number = {value: i for i, value in enumerate(wanted)}
    seen = -1
    for value in target.values(topic):
        assert number[value] <= seen + 1, f"{number[value]} arrived before {seen + 1}"
        seen = max(seen, number[value])
    assert seen == len(wanted) - 1
    assert source.values(dead) == [rows[i][0] for i in sorted(bad)]
