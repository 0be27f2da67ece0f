"""Sealed streams between two key domains, read and written by a second implementation.

Each test plants a marker in its plaintext and searches every log segment of the target for it.
"""

import os

import pytest

from harness import Keyring, configuration, pipeline, wait_until
from harness.keyring import KEYS_HEADER, envelope

DATASET = "orders"


@pytest.fixture
def rings(tmp_path):
    """Two key domains, dc and aws, each with a keyring of its own."""
    return Keyring(tmp_path / "dc.keyring", "dc"), Keyring(tmp_path / "aws.keyring", "aws")


@pytest.fixture
def marker():
    return b"MARKER-" + os.urandom(12).hex().encode()


def plaintexts(marker, count=20):
    """{key: plaintext}, the empty value and a large one among them."""
    return {b"k%d" % i: marker + b" %d " % i + b"x" * (i * 137) for i in range(count)} | {
        b"empty": b"", b"large": marker * 5_000}


def send_sealed(broker, topic, ring, rows, tenant=None, same_dek=True):
    """Sends rows sealed under `ring`, by the tests' own writer."""
    dek = os.urandom(32) if same_dek else None
    with broker.raw() as producer:
        for key, plain in rows.items():
            value, headers = ring.seal(plain, DATASET.encode(), key=key, tenant=tenant, dek=dek)
            producer.send(topic, 0, [(1_700_000_000_000, key, value, [("mine", b"1"), *headers])])


def opened(ring, records):
    return {r.key: ring.open(r, DATASET.encode()) for r in records}


def test_encrypt_what_the_decoder_opens(source, target, bridge, unique, rings, marker):
    dc, aws = rings
    topic, rows = source.create_topic(unique()), plaintexts(marker)
    with source.raw() as producer:
        for key, plain in rows.items():
            producer.send(topic, 0, [(1_700_000_000_000, key, plain, [("mine", b"1")])])
        producer.send(topic, 0, [(1_700_000_000_000, b"deleted", None, [])])
    for suite in ("aes-256-gcm", "chacha20-poly1305"):
        copy = f"{topic}.{suite}"
        bridge(configuration(source, target, {unique(suite[:3]): pipeline(
            topic, to=copy, dataset=DATASET,
            transforms=[{"encrypt": {"domain": "aws", "suite": suite}}])}, [aws])).until_caught_up()
        *sealed, tombstone = target.read(copy)[0]
        assert opened(aws, sealed) == rows
        assert {envelope.parse(r.value)["suite"] for r in sealed} == {
            {"aes-256-gcm": 1, "chacha20-poly1305": 2}[suite]}
        assert all(("mine", b"1") in r.headers for r in sealed)
        assert (tombstone.key, tombstone.value) == (b"deleted", None)
        with pytest.raises(envelope.Refused):
            dc.open(sealed[0], DATASET.encode())
        nonces = [envelope.parse(r.value)["nonce"] for r in sealed]
        assert len(set(nonces)) == len(nonces)
        assert target.find_on_disk(marker, copy) == []


def test_decrypt_what_the_decoder_sealed(source, target, bridge, unique, rings, marker):
    dc, _ = rings
    topic, rows = source.create_topic(unique()), plaintexts(marker)
    send_sealed(source, topic, dc, rows, same_dek=False)
    bridge(configuration(source, target, {unique("p"): pipeline(
        topic, dataset=DATASET, transforms=[{"decrypt": {"domain": "dc"}}])}, [dc])).until_caught_up()
    arrived = target.read(topic)[0]
    assert {r.key: r.value for r in arrived} == rows
    assert {r.headers for r in arrived} == {(("mine", b"1"),)}


@pytest.mark.parametrize("verify", ["first", "all"])
def test_rewrap_changes_the_keys_and_nothing_else(verify, source, target, bridge, unique, rings, marker):
    dc, aws = rings
    topic, rows = source.create_topic(unique(verify)), plaintexts(marker)
    send_sealed(source, topic, dc, rows)
    bridge(configuration(source, target, {unique("p"): pipeline(
        topic, dataset=DATASET, transforms=[
            {"rekey": {"from": "dc", "to": "aws", "mode": "rewrap", "verify": verify}}])},
        rings)).until_caught_up()
    left, arrived = source.read(topic)[0], target.read(topic)[0]
    assert opened(aws, arrived) == rows
    for before, after in zip(left, arrived, strict=True):
        assert after.value == before.value
        assert [h for h in after.headers if h[0] != KEYS_HEADER] == [("mine", b"1")]
        assert after.headers != before.headers
        # The data key stays: this is not revocation.
        assert dc.data_key(before, DATASET.encode()) == aws.data_key(after, DATASET.encode())
    with pytest.raises(envelope.Refused):
        dc.open(arrived[0], DATASET.encode())
    assert target.find_on_disk(marker, topic) == []


def test_reencrypt_makes_new_data_keys(source, target, bridge, unique, rings, marker):
    dc, aws = rings
    topic, rows = source.create_topic(unique()), plaintexts(marker)
    send_sealed(source, topic, dc, rows)
    bridge(configuration(source, target, {unique("p"): pipeline(
        topic, dataset=DATASET, transforms=[
            {"rekey": {"from": "dc", "to": "aws", "mode": "reencrypt"}}])}, rings)).until_caught_up()
    left, arrived = source.read(topic)[0], target.read(topic)[0]
    assert opened(aws, arrived) == rows
    old = {dc.data_key(r, DATASET.encode()) for r in left}
    assert old.isdisjoint({aws.data_key(r, DATASET.encode()) for r in arrived})
    with pytest.raises(envelope.Refused):
        dc.open(arrived[0], DATASET.encode())
    assert target.find_on_disk(marker, topic) == []


def test_a_data_key_is_never_wrapped_for_another_tenant(source, target, bridge, unique, rings, marker):
    """A writer republishes tenant a's record under b's name: value and wrapped key as they are."""
    dc, aws = rings
    dek = os.urandom(32)
    value, headers = dc.seal(marker, DATASET.encode(), key=b"k", tenant=b"a", dek=dek)
    topic_a, topic_b = source.create_topic(unique("a")), source.create_topic(unique("b"))
    for topic in (topic_a, topic_b):
        with source.raw() as producer:
            producer.send(topic, 0, [(1_700_000_000_000, b"k", value, headers)])

    def rewrap(topic, tenant):
        return pipeline(topic, dataset=DATASET, transforms=[{"rekey": {
            "from": "dc", "to": "aws", "mode": "rewrap", "tenant": tenant}}])

    # a's own pipeline first in the same daemon: its cache is warm with the very data key.
    warm = bridge(configuration(source, target, {
        unique("pa"): rewrap(topic_a, "a"), unique("pb"): rewrap(topic_b, "b")}, rings))
    assert warm.until_caught_up(expect=None).status != 0
    cold = bridge(configuration(source, target, {unique("pc"): rewrap(topic_b, "b")}, rings))
    assert cold.until_caught_up(expect=None).status != 0
    assert aws.open(target.read(topic_a)[0][0], DATASET.encode(), tenant=b"a") == marker
    assert topic_b not in target.topics() or target.values(topic_b) == []


def test_keys_that_are_disabled_pause_and_nothing_goes_out(source, target, bridge, unique, rings, marker):
    _, aws = rings
    topic = source.create_topic(unique())
    target.create_topic(topic)
    source.produce(topic, [marker + b"%d" % i for i in range(50)])
    aws.enable(False)
    made = bridge(configuration(source, target, {unique("p"): pipeline(
        topic, dataset=DATASET, transforms=[{"encrypt": {"domain": "aws"}}])}, [aws])).start()
    made.wait_for("aws")
    wait_until(lambda: "disabled" in made.log_text(), 20, "the reason in the log")
    assert target.values(topic) == [] and made.running
    aws.enable()
    wait_until(lambda: target.count(topic) == 50, 60, "the shard to go on")
    assert made.terminate() == 0
    assert len(opened(aws, target.read(topic)[0])) == 1  # all keys are null
    assert target.find_on_disk(marker, topic) == []


def test_rotation_is_picked_up_while_running(source, target, bridge, unique, rings):
    _, aws = rings
    topic = source.create_topic(unique())
    made = bridge(configuration(source, target, {unique("p"): pipeline(
        topic, dataset=DATASET, transforms=[{"encrypt": {"domain": "aws", "rotate-records": 1}}])},
        [aws])).start()
    source.produce(topic, [b"old"])
    wait_until(lambda: topic in target.topics() and target.count(topic) == 1, 30, "the first record")
    aws.rotate()

    def newest_is_used():
        source.produce(topic, [b"new"])
        return b"orders:2" in dict(target.read(topic)[0][-1].headers)[KEYS_HEADER]

    wait_until(newest_is_used, 30, "the new version", pause=0.3)
    assert made.terminate() == 0
    assert {aws.open(r, DATASET.encode()) for r in target.read(topic)[0]} == {b"old", b"new"}


def test_authenticated_tombstones(source, target, bridge, unique, rings):
    dc, aws = rings
    topic = source.create_topic(unique(), cleanup_policy="compact")
    source.produce(topic, [{"key": b"k", "value": b"v"}, {"key": b"k", "value": None}])
    sealed = f"{topic}.sealed"
    bridge(configuration(source, target, {unique("p"): pipeline(
        topic, to=sealed, dataset=DATASET,
        transforms=[{"encrypt": {"domain": "aws", "tombstones": "authenticated"}}])},
        [aws])).until_caught_up()
    value, tombstone = target.read(sealed)[0]
    assert tombstone.value is None and "drawbridge-tombstone" in dict(tombstone.headers)
    dek = aws.data_key(value, DATASET.encode())
    assert envelope.open_value(dict(tombstone.headers)["drawbridge-tombstone"], dek,
                               DATASET.encode(), None, b"k", tombstone=True) == b""

    # A bare null is a forged delete now.
    target.produce(sealed, [{"key": b"k", "value": None}])
    back = bridge(configuration(target, source, {unique("q"): pipeline(
        sealed, dataset=DATASET,
        transforms=[{"decrypt": {"domain": "aws", "tombstones": "authenticated"}}])}, [aws]))
    assert back.until_caught_up(expect=None).status != 0
    assert [(r.key, r.value) for r in source.read(sealed)[0]] == [(b"k", b"v"), (b"k", None)]


def test_inspect_shows_the_envelope_and_no_plaintext(source, target, bridge, unique, rings, marker):
    dc, _ = rings
    topic = source.create_topic(unique())
    send_sealed(source, topic, dc, {b"k": marker})
    made = bridge(configuration(source, target, {unique("p"): pipeline(
        topic, dataset=DATASET, require={"in": ["native"], "out": ["native"]})}, [dc]))
    shown = made.with_config("inspect", "--cluster", "src", "--topic", topic)
    assert shown.status == 0, shown.text
    for word in ("native", "aes-256-gcm", "dc", "orders:1"):
        assert word in shown.out
    assert marker.decode() not in shown.text
    clear = made.with_config("inspect", "--cluster", "src", "--topic", topic, "--decrypt",
                             "--domain", "dc", "--dataset", DATASET)
    assert clear.status == 0 and marker.decode() in clear.out, clear.text
