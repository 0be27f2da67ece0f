"""The second implementation against the bridge's test vectors, and the worked example of
bridge/envelope/FORMAT.md against both."""

import hmac
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import make_vectors
from drawbridge_envelope import (Cursor, Refused, context, derive, encode_keys, encode_whole,
                                 local_unwrap, open_value, parse, parse_keys, parse_whole,
                                 seal_value)

ROOT = pathlib.Path(__file__).resolve().parents[3]
VECTORS = ROOT / "tests" / "vectors"
SUITES = {"aes-256-gcm": 1, "chacha20-poly1305": 2}


def load(path):
    return json.loads(pathlib.Path(path).read_text())


def vectors(name):
    return [pytest.param(vector, id=vector["name"]) for vector in load(VECTORS / name)]


def data(vector, field):
    return None if vector[field] is None else bytes.fromhex(vector[field])


def text(vector, field):
    return None if vector[field] is None else vector[field].encode()


def wrapped_keys(vector, view):
    header = data(vector, "keys-header")
    if "keys" in view:
        if header is not None:
            raise Refused("envelope-malformed")
        return view["keys"]
    if header is None:
        raise Refused("envelope-malformed")
    return parse_keys(Cursor(header))


def read(vector):
    """From the key-encryption key to the plaintext, as FORMAT.md's "Opening" goes."""
    value, tombstone = data(vector, "value"), vector["kind"] == "tombstone"
    dataset, tenant, domain = (text(vector, name) for name in ("dataset", "tenant", "domain"))
    view = parse(value, tombstone)
    keys = wrapped_keys(vector, view)
    if domain in keys:
        kek, wrapped = keys[domain]
        assert kek == text(vector, "kek-reference")
        aad = context(view["key_id"], dataset, tenant, domain)
        dek = local_unwrap(data(vector, "kek"), wrapped, aad)
    else:
        dek = data(vector, "dek")
    plaintext = open_value(value, dek, dataset, tenant, data(vector, "record-key"),
                           vector["kind"] == "whole", tombstone)
    assert dek == data(vector, "dek")
    assert view["subject"] == data(vector, "subject")
    assert view["suite"] == SUITES[vector["suite"]]
    return plaintext


def check(vector):
    plaintext = read(vector)
    assert plaintext == data(vector, "plaintext")
    if vector["kind"] == "whole":
        assert encode_whole(*parse_whole(plaintext)) == plaintext


@pytest.mark.parametrize("vector", vectors("envelope_bridge.json"))
def test_reads_what_the_bridge_wrote(vector):
    check(vector)


@pytest.mark.parametrize("vector", vectors("envelope_bridge.json"))
def test_writes_what_the_bridge_wrote(vector):
    """The same inputs and nonce give the same bytes."""
    value, tombstone = data(vector, "value"), vector["kind"] == "tombstone"
    view = parse(value, tombstone)
    keys = encode_keys(view["keys"]) if "keys" in view else b""
    assert value == seal_value(
        data(vector, "plaintext"), data(vector, "dek"), text(vector, "dataset"),
        text(vector, "tenant"), data(vector, "record-key"), SUITES[vector["suite"]],
        data(vector, "subject"), view["salt"], keys, vector["kind"] == "whole", tombstone,
        view["nonce"])


@pytest.mark.parametrize("vector", vectors("envelope_python.json"))
def test_reads_its_own(vector):
    check(vector)


@pytest.mark.parametrize("vector", vectors("envelope_hostile.json"))
def test_refuses_the_hostile_ones(vector):
    with pytest.raises(Refused) as refused:
        read(vector)
    assert str(refused.value) == vector["error"]


def test_every_changed_byte_is_refused():
    vector = load(VECTORS / "envelope_bridge.json")[0]
    value = data(vector, "value")
    for at in range(len(value)):
        changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1:]
        with pytest.raises(Refused):
            read(dict(vector, value=changed.hex()))


def test_committed_vectors_are_what_the_generator_writes(tmp_path):
    make_vectors.main(tmp_path)
    for name in ("envelope_python.json", "envelope_hostile.json"):
        assert (tmp_path / name).read_text() == (VECTORS / name).read_text()


def test_fresh_vectors_in_both_directions(tmp_path):
    """Not only the committed ones: new keys and nonces, written by one and read by the other."""
    binary = os.environ.get("DRAWBRIDGE_BINARY", ROOT / "build" / "release" / "bin" / "drawbridge")
    program = pathlib.Path(binary).with_name("envelope_test")
    if not program.exists():
        pytest.skip("envelope_test is not built")
    run = lambda test, **env: subprocess.run([program, f"--gtest_filter={test}"], check=True,
                                             env=os.environ | env, capture_output=True)
    out = tmp_path / "bridge.json"
    run("VectorsTest.Writes", DRAWBRIDGE_VECTORS_OUT=str(out))
    written = load(out)
    assert len(written) >= 20
    for vector in written:
        check(vector)

    fresh = []
    for vector in load(VECTORS / "envelope_python.json"):
        old = parse(data(vector, "value"), vector["kind"] == "tombstone")
        keys = encode_keys(old["keys"]) if "keys" in old else b""
        value = seal_value(data(vector, "plaintext"), data(vector, "dek"), text(vector, "dataset"),
                           text(vector, "tenant"), data(vector, "record-key"), old["suite"],
                           data(vector, "subject"), os.urandom(32) if old["salt"] else None, keys,
                           vector["kind"] == "whole", vector["kind"] == "tombstone")
        fresh.append(dict(vector, value=value.hex()))
    into = tmp_path / "python.json"
    into.write_text(json.dumps(fresh))
    run("VectorsTest.ReadsTheSecondImplementations", DRAWBRIDGE_VECTORS_IN=str(into))


def test_worked_example_of_the_grammar():
    """FORMAT.md's example: every field as it stands there, and the whole of it opens."""
    section = (ROOT / "bridge/envelope/FORMAT.md").read_text().split("## Worked example")[1]
    fields = {}
    for name, quoted, hexa in re.findall(
            r'^(\w[\w -]*?) {2,}(?:"([^"]*)"|([0-9a-f ]+?(?:\n {15,}[0-9a-f ]+?)*))(?: *;.*)?$',
            section, re.M):
        fields[name] = bytes.fromhex(hexa) if hexa else quoted.encode()
    dek, dataset, tenant = fields["DEK"], fields["dataset name"], fields["tenant name"]
    assert fields["key-id"] == derive(dek, 1, b"commit")
    assert fields["content key"] == derive(dek, 1, b"content")
    assert fields["bind key"] == derive(dek, 1, b"bind")
    assert fields["full key tag"] == hmac.digest(fields["bind key"], b"\x01customer-7", "sha256")
    assert fields["full key tag"].startswith(fields["key-tag"])
    assert fields["context"] == context(fields["key-id"], dataset, tenant, fields["domain name"])
    order = ["magic", "version", "suite", "flags", "key-id", "dataset", "tenant", "subject",
             "key-tag", "nonce", "ciphertext", "tag"]
    value = b"".join(fields[name] for name in order)
    plaintext = fields["plaintext"]
    assert len(value) == len(plaintext) + 86 + len(dataset) + len(tenant)
    assert value == seal_value(plaintext, dek, dataset, tenant, fields["record key"],
                               nonce=fields["nonce"])
    assert open_value(value, dek, dataset, tenant, b"customer-7") == plaintext
    kek, wrapped = parse_keys(Cursor(fields["drawbridge-keys"]))[fields["domain name"]]
    assert kek == fields["KEK reference"]
    assert local_unwrap(fields["KEK"], wrapped, fields["context"]) == dek
    example = load(VECTORS / "envelope_python.json")[0]  # which the bridge's own test reads
    assert example["name"] == "worked example"
    assert (data(example, "value"), data(example, "keys-header"), data(example, "kek")) == (
        value, fields["drawbridge-keys"], fields["KEK"])
