"""Writes tests/vectors/envelope_python.json and envelope_hostile.json, the same bytes every time:

    python3 tests/e2e/decoder/make_vectors.py [FOLDER]
"""

import hashlib
import json
import pathlib
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from drawbridge_envelope import (context, derive, encode_keys, encode_whole, parse, parse_keys,
                                 seal_value, Cursor)

VECTORS = pathlib.Path(__file__).resolve().parents[2] / "vectors"
NAMES = {1: "aes-256-gcm", 2: "chacha20-poly1305"}
ORDER = b'{"order":4711}'


def fixed(label, size=32):
    """Key material of a vector: known to everybody, never to be used."""
    return hashlib.shake_256(b"drawbridge test vector: " + label.encode()).digest(size)


def hexed(data):
    return None if data is None else data.hex()


def wrapped_keys(kek, dek, suite, dataset, tenant, label):
    aad = context(derive(dek, suite, b"commit"), dataset, tenant, b"dc")
    nonce = fixed(label + " wrap", 12)
    return encode_keys({b"dc": (b"local:dc/1", nonce + AESGCM(kek).encrypt(nonce, dek, aad)),
                        b"aws": (b"elsewhere", b"not ours")})


def vector(name, suite=1, plaintext=ORDER, tenant=b"acme", key=b"customer-7", subject=None,
           kind="value", inline=False, by_reference=False):
    name = f"{name}, {NAMES[suite]}"
    kek, dek, dataset = fixed(name + " kek"), fixed(name + " dek"), b"orders"
    keys = encode_keys({}) if by_reference else wrapped_keys(kek, dek, suite, dataset, tenant, name)
    value = seal_value(plaintext, dek, dataset, tenant, key, suite, subject,
                       salt=fixed(name + " salt") if by_reference else None,
                       keys=keys if inline else b"", whole=kind == "whole",
                       tombstone=kind == "tombstone", nonce=fixed(name + " nonce", 12))
    return {"name": name, "kind": kind, "suite": NAMES[suite], "kek": kek.hex(),
            "kek-reference": "local:dc/1", "domain": "dc", "dek": dek.hex(),
            "dataset": dataset.decode(), "tenant": None if tenant is None else tenant.decode(),
            "subject": hexed(subject), "record-key": hexed(key), "plaintext": plaintext.hex(),
            "keys-header": None if inline else keys.hex(), "value": value.hex()}


def worked_example():
    """FORMAT.md's, as a vector, so that both implementations are held to it."""
    kek, dek, wrap_nonce = bytes(range(64, 96)), bytes(range(32)), bytes(range(0xB0, 0xBC))
    aad = context(derive(dek, 1, b"commit"), b"orders", b"acme", b"dc")
    wrapped = wrap_nonce + AESGCM(kek).encrypt(wrap_nonce, dek, aad)
    value = seal_value(ORDER, dek, b"orders", b"acme", b"customer-7", nonce=bytes(range(0xA0, 0xAC)))
    return dict(vector("plain"), name="worked example", kek=kek.hex(), dek=dek.hex(),
                value=value.hex(),
                **{"keys-header": encode_keys({b"dc": (b"local:dc/1", wrapped)}).hex()})


def good():
    yield worked_example()
    whole = encode_whole(b"key", None, [(b"trace", b"1"), (b"trace", None), (b"", b"")])
    for suite in NAMES:
        yield vector("plain", suite)
        yield vector("null key", suite, key=None)
        yield vector("empty key", suite, key=b"")
        yield vector("empty plaintext", suite, plaintext=b"")
        yield vector("plaintext of 5000 bytes", suite, plaintext=fixed("long", 5000))
        yield vector("absent tenant", suite, tenant=None)
        yield vector("empty tenant", suite, tenant=b"")
        yield vector("longest tenant", suite, tenant=b"t" * 254)
        yield vector("subject", suite, subject=fixed("subject", 16))
        yield vector("inline keys", suite, inline=True)
        yield vector("by reference", suite, by_reference=True)
        yield vector("by reference, inline", suite, by_reference=True, inline=True)
        yield vector("tombstone", suite, plaintext=b"", kind="tombstone")
        yield vector("tombstone, inline keys", suite, plaintext=b"", kind="tombstone", inline=True)
        yield vector("whole record", suite, plaintext=whole, kind="whole")


def hostile():
    plain, other = vector("plain"), vector("empty key")
    value, keys = bytes.fromhex(plain["value"]), bytes.fromhex(plain["keys-header"])
    inline = vector("inline keys", inline=True)
    tombstone = vector("tombstone", plaintext=b"", kind="tombstone")
    entries = parse_keys(Cursor(keys))
    nonce_at = len(parse(value)["immutable"]) - 12

    def case(name, error, base=plain, **changes):
        changes = {field.replace("_", "-"): hexed(data) if isinstance(data, bytes) else data
                   for field, data in changes.items()}
        return dict(base, name=name, error="envelope-" + error, **changes)

    def flipped(at, bits=1, data=value):
        at %= len(data)
        return data[:at] + bytes([data[at] ^ bits]) + data[at + 1:]

    yield case("clear text", "missing", value=b'{"order":4711}')
    yield case("empty value", "missing", value=b"")
    yield case("version 2", "unsupported", value=flipped(4, 3))
    yield case("another suite", "tampered", value=flipped(5, 3))
    yield case("suite 3", "unsupported", value=flipped(5, 2))
    yield case("unknown flag", "unsupported", value=flipped(6, 0x20))
    yield case("reserved flag", "unsupported", value=flipped(6, 0x10))
    yield case("flag whole put in", "unsupported", value=flipped(6, 2))
    yield case("flag tombstone in a value", "malformed", value=flipped(6, 8))
    yield case("key id changed", "tampered", value=flipped(7))
    yield case("dataset changed", "foreign", value=flipped(40))
    yield case("tenant changed", "foreign", value=flipped(47))
    yield case("key tag changed", "tampered", value=flipped(nonce_at - 1))
    yield case("nonce changed", "tampered", value=flipped(nonce_at))
    yield case("ciphertext changed", "tampered", value=flipped(nonce_at + 12))
    yield case("tag changed", "tampered", value=flipped(-1))
    yield case("a byte cut off", "tampered", value=value[:-1])
    yield case("a byte added", "tampered", value=value + b"\x00")
    yield case("cut in the tag", "malformed", value=value[:nonce_at + 12 + 15])
    yield case("cut in the key id", "malformed", value=value[:20])
    yield case("another record key", "tampered", record_key=b"customer-8")
    yield case("record key gone", "tampered", record_key=None)
    yield case("another dataset expected", "tampered", dataset="payments")
    yield case("another tenant expected", "tampered", tenant="other")
    yield case("no tenant expected", "tampered", tenant=None)
    yield case("another KEK", "tampered", kek=fixed("another"))
    yield case("the wrapped key of another record", "tampered", keys_header=other["keys-header"],
               kek=other["kek"])
    yield case("wrapped key changed", "tampered", keys_header=flipped(-1, data=keys))
    yield case("no keys header", "malformed", keys_header=None)
    yield case("empty keys header", "malformed", keys_header=b"")
    yield case("keys of version 2", "unsupported", keys_header=b"\x02" + keys[1:])
    yield case("five keys", "malformed", keys_header=b"\x01\x05" + keys[2:])
    yield case("one key counted, two there", "malformed", keys_header=b"\x01\x01" + keys[2:])
    entry = encode_keys({b"dc": entries[b"dc"]})[2:]
    yield case("two keys of one domain", "malformed", keys_header=b"\x01\x02" + entry + entry)
    foreign = encode_keys({b"aws": entries[b"aws"]})[2:]
    yield case("keys out of order", "malformed", keys_header=b"\x01\x02" + entry + foreign)
    yield case("inline keys and a header", "malformed", inline, keys_header=keys)
    yield case("inline keys changed", "malformed", inline,
               value=flipped(nonce_at + 12 + 1, 4, bytes.fromhex(inline["value"])))
    yield case("a tombstone as a value", "malformed", tombstone, kind="value")
    yield case("a value as a tombstone", "malformed", kind="tombstone")
    empty = vector("empty plaintext", plaintext=b"")
    yield case("an empty value made a tombstone", "tampered", empty, kind="tombstone",
               value=flipped(6, 8, bytes.fromhex(empty["value"])))
    yield case("a tombstone of another record key", "tampered", tombstone, record_key=b"x")


def main(folder):
    for name, vectors in (("envelope_python.json", good()), ("envelope_hostile.json", hostile())):
        text = json.dumps(list(vectors), indent=2, sort_keys=True) + "\n"
        (pathlib.Path(folder) / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else VECTORS)
