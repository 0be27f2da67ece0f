"""Keyring files and sealed records, made and opened without the bridge.

Written from bridge/keys/KEYRING.md; the envelope is tests/e2e/decoder's business.
"""

import base64
import hmac
import os
import pathlib
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import parts

sys.path.insert(0, str(parts.CHECKOUT / "tests/e2e/decoder"))
import drawbridge_envelope as envelope  # noqa: E402

KEYS_HEADER = "drawbridge-keys"


class Keyring:
    """A file with one key in versions, for one key domain."""

    def __init__(self, path, domain, key="orders"):
        self.path, self.domain, self.key = pathlib.Path(path), domain, key
        self.versions = {}  # number -> (material, enabled)
        self.rotate()

    def options(self):
        """What stands under key_domains.NAME."""
        return {"keyring": {"file": str(self.path), "key": self.key}}

    def rotate(self):
        self.versions[len(self.versions) + 1] = (os.urandom(32), True)
        self._write()

    def enable(self, enabled=True):
        self.versions = {n: (material, enabled) for n, (material, _) in self.versions.items()}
        self._write()

    def _write(self):
        lines = ["drawbridge-keyring 1", f"key {self.key}"]
        for number, (material, enabled) in self.versions.items():
            check = hmac.digest(material, b"drawbridge keyring check", "sha256")[:8].hex()
            lines.append(f"version {number} {'enabled' if enabled else 'disabled'} "
                         f"2026-01-02T03:04:05Z {check} {base64.b64encode(material).decode()}")
        temporary = self.path.with_name(self.path.name + ".tmp")
        descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write("\n".join([*lines, "end", ""]))
        temporary.rename(self.path)

    # --- Records -------------------------------------------------------------------------------

    def wrap(self, dek, dataset, tenant=None, domain=None):
        """(KEK reference, wrapped data key) under the newest version."""
        number = max(self.versions)
        key_id = envelope.derive(dek, 1, b"commit")
        aad = envelope.context(key_id, dataset, tenant, (domain or self.domain).encode())
        nonce = os.urandom(12)
        kek = self.versions[number][0]
        return f"{self.key}:{number}".encode(), nonce + AESGCM(kek).encrypt(nonce, dek, aad)

    def seal(self, plaintext, dataset, key=None, tenant=None, dek=None):
        """(value, headers) of a sealed record, as another writer would send it."""
        dek = dek or os.urandom(32)
        block = envelope.encode_keys({self.domain.encode(): self.wrap(dek, dataset, tenant)})
        return (envelope.seal_value(plaintext, dek, dataset, tenant, key),
                [(KEYS_HEADER, block)])

    def data_key(self, record, dataset, tenant=None):
        """Unwraps the record's data key; envelope.Refused where this domain cannot."""
        blocks = [value for name, value in record.headers if name == KEYS_HEADER]
        envelope.need(len(blocks) == 1)
        keys = envelope.parse_keys(envelope.Cursor(blocks[0]))
        envelope.need(self.domain.encode() in keys, "foreign")
        reference, wrapped = keys[self.domain.encode()]
        name, _, number = reference.decode().partition(":")
        envelope.need(name == self.key and int(number) in self.versions, "foreign")
        key_id = envelope.parse(record.value)["key_id"]
        aad = envelope.context(key_id, dataset, tenant, self.domain.encode())
        return envelope.local_unwrap(self.versions[int(number)][0], wrapped, aad)

    def open(self, record, dataset, tenant=None, whole=False):
        """The record's plaintext; envelope.Refused with the reason otherwise."""
        dek = self.data_key(record, dataset, tenant)
        return envelope.open_value(record.value, dek, dataset, tenant, record.key, whole=whole)

    def open_whole(self, record, dataset, tenant=None):
        """(key, value, headers) of a dead letter that was sealed whole."""
        key, value, headers = envelope.parse_whole(self.open(record, dataset, tenant, whole=True))
        return key, value, [(name.decode(), text) for name, text in headers]
