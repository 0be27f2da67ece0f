"""The native envelope, read and written from bridge/envelope/FORMAT.md alone (`cryptography`)."""

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC, SUITES = b"\xdbDBE", {1: AESGCM, 2: ChaCha20Poly1305}
INLINE, WHOLE, SALTED, TOMBSTONE = 1, 2, 4, 8


class Refused(Exception):
    """str() is the bridge's name for the error: envelope-malformed, envelope-tampered, ..."""


def need(condition, kind="malformed"):
    if not condition:
        raise Refused("envelope-" + kind)


class Cursor:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, count):
        need(self.at + count <= len(self.data))
        self.at += count
        return self.data[self.at - count:self.at]

    def uint(self, size):
        return int.from_bytes(self.take(size), "big")

    def sized(self, size, absent=None):
        length = self.uint(size)
        return None if length == absent else self.take(length)


def derive(dek, suite, purpose, salt=None):
    info = b"drawbridge envelope " + purpose + bytes([1, suite])
    return HKDF(hashes.SHA512(), 32, salt, info).derive(dek)


def key_tag(dek, suite, key):
    message = b"\x00" if key is None else b"\x01" + key
    return hmac.digest(derive(dek, suite, b"bind"), message, "sha256")[:16]


def short(data):
    return b"\xff" if data is None else bytes([len(data)]) + data


def parse_keys(cursor, alone=True):
    """Wrapped keys: {domain: (KEK reference, wrapped bytes)}."""
    start, keys = cursor.at, []
    need(cursor.uint(1) == 1, "unsupported")
    count = cursor.uint(1)
    need(count <= 4)
    for _ in range(count):
        domain, kek, wrapped = cursor.sized(1, 255), cursor.sized(2), cursor.sized(2)
        need(domain and 1 <= len(kek) <= 1024 and 1 <= len(wrapped) <= 4096)
        need(not keys or keys[-1][0] < domain)
        keys.append((domain, (kek, wrapped)))
    need(cursor.at - start <= 8192 and (cursor.at == len(cursor.data) or not alone))
    return dict(keys)


def encode_keys(keys):
    entries = [short(domain) + len(kek).to_bytes(2, "big") + kek + len(w).to_bytes(2, "big") + w
               for domain, (kek, w) in sorted(keys.items())]
    return bytes([1, len(entries)]) + b"".join(entries)


def parse(value, tombstone=False):
    need(value[:4] == MAGIC, "malformed" if tombstone else "missing")
    cursor, view = Cursor(value, 4), {}
    need(cursor.uint(1) == 1, "unsupported")
    view["suite"] = cursor.uint(1)
    need(view["suite"] in SUITES, "unsupported")
    flags = view["flags"] = cursor.uint(1)
    need(flags & 0xF0 == 0, "unsupported")
    need(bool(flags & TOMBSTONE) == tombstone and not (tombstone and flags & WHOLE))
    view["key_id"], view["dataset"] = cursor.take(32), cursor.sized(1, 255)
    view["tenant"], view["subject"] = cursor.sized(1, 255), cursor.sized(1, 255)
    need(view["dataset"] and (view["subject"] is None or len(view["subject"]) == 16))
    view["key_tag"], view["salt"] = cursor.take(16), cursor.take(32 * bool(flags & SALTED))
    view["nonce"] = cursor.take(12)
    view["immutable"] = value[:cursor.at]
    if flags & INLINE:
        view["keys"] = parse_keys(cursor, alone=False)
    rest = view["sealed"] = cursor.take(len(value) - cursor.at)
    need(len(rest) >= 16 and (len(rest) == 16 or not tombstone) and len(rest) <= 2**30 + 16)
    return view


def decrypt(aead, nonce, sealed, aad):
    try:
        return aead.decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise Refused("envelope-tampered") from None


def open_value(value, dek, dataset, tenant, key, whole=False, tombstone=False):
    """The plaintext, or Refused. `key` is the record key (None: null)."""
    view = parse(value, tombstone)
    suite = view["suite"]
    need(hmac.compare_digest(derive(dek, suite, b"commit"), view["key_id"]), "tampered")
    need((view["dataset"], view["tenant"]) == (dataset, tenant), "foreign")
    need(bool(view["flags"] & WHOLE) == whole, "unsupported")
    need(hmac.compare_digest(key_tag(dek, suite, key), view["key_tag"]), "tampered")
    aead = SUITES[suite](derive(dek, suite, b"content", view["salt"]))
    return decrypt(aead, view["nonce"], view["sealed"], b"tombstone" * tombstone + view["immutable"])


def seal_value(plaintext, dek, dataset, tenant, key, suite=1, subject=None, salt=None, keys=b"",
               whole=False, tombstone=False, nonce=None):
    """`keys` is an encoded block to ride inline; `nonce` is given only to repeat a test vector."""
    nonce = nonce or os.urandom(12)
    flags = INLINE * bool(keys) + WHOLE * whole + SALTED * bool(salt) + TOMBSTONE * tombstone
    immutable = (MAGIC + bytes([1, suite, flags]) + derive(dek, suite, b"commit") + short(dataset)
                 + short(tenant) + short(subject) + key_tag(dek, suite, key) + (salt or b"") + nonce)
    aead = SUITES[suite](derive(dek, suite, b"content", salt))
    return immutable + keys + aead.encrypt(nonce, plaintext, b"tombstone" * tombstone + immutable)


def context(key_id, dataset, tenant, domain):
    return b"drawbridge wrap context\x01" + key_id + short(dataset) + short(tenant) + short(domain)


def local_unwrap(kek, wrapped, aad):
    need(len(wrapped) == 60)
    return decrypt(AESGCM(kek), wrapped[:12], wrapped[12:], aad)


def parse_whole(data):
    cursor, null = Cursor(data), 0xFFFFFFFF
    need(cursor.uint(1) == 1, "unsupported")
    key, value, count = cursor.sized(4, null), cursor.sized(4, null), cursor.uint(4)
    headers = [(cursor.sized(4), cursor.sized(4, null)) for _ in range(count)]
    need(cursor.at == len(data))
    return key, value, headers


def encode_whole(key, value, headers):
    field = lambda data: b"\xff" * 4 if data is None else len(data).to_bytes(4, "big") + data
    return (b"\x01" + field(key) + field(value) + len(headers).to_bytes(4, "big")
            + b"".join(field(name) + field(text) for name, text in headers))
