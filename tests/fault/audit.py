"""Both sides, record by record: what was lost, doubled, changed or out of order.

`compare` is a pure function over rows, tested without a broker; `Auditor` makes the rows from what
it reads with kafka-python, which shares no code with the bridge's client.
"""

import dataclasses
import hashlib
import typing

import content
from harness.keyring import KEYS_HEADER, envelope
from harness.records import read_all
from load import ABORTED, ACKNOWLEDGED

DEAD_LETTER_PREFIX = "drawbridge.dead-letter."
SHOWN = 5  # examples of each kind in the findings


class Row(typing.NamedTuple):
    """A record: who it is (encoded identity), and a digest of all that must arrive unchanged."""

    identity: bytes
    digest: bytes


@dataclasses.dataclass
class Verdict:
    """What came of one source partition."""

    key: content.Key
    source: int = 0
    copied: int = 0
    dead: int = 0
    lost: int = 0
    holes: int = 0           # of them with a later record that arrived: nothing waits for these
    doubled: int = 0
    rewinds: int = 0         # how often the copy went back
    longest_rewind: int = 0  # in records
    longest_repeat: int = 0  # how many records in a row arrived again
    late: int = 0            # repeated runs that were not carried on to where the copy was
    digest: str = ""
    findings: list = dataclasses.field(default_factory=list)


class Findings:
    """Sentences of one kind, the first few of them in full."""

    def __init__(self, into):
        self._into, self._counts = into, {}

    def add(self, kind, sentence):
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count <= SHOWN:
            self._into.append(f"{kind}: {sentence}")

    def close(self):
        self._into += [f"{kind}: {count} in all" for kind, count in self._counts.items()
                       if count > SHOWN]


def _digest(rows):
    total = hashlib.sha256()
    for row in rows:
        total.update(row.identity + b"\n" + row.digest)
    return total.hexdigest()


def _follow(wanted, arrived, verdict, findings, window):
    """Compares one ordered list with what arrived of it; returns the rows that came first."""
    number = {row.identity: i for i, row in enumerate(wanted)}
    there = bytearray(len(wanted))
    first = []
    seen = last = -1
    repeat = 0
    for row in arrived:
        at = number.get(row.identity)
        if at is None:
            findings.add("foreign", f"{row.identity.decode()} is not in the source, or belongs "
                                    "elsewhere (target or dead letters)")
            continue
        if row.digest != wanted[at].digest:
            findings.add("altered", row.identity.decode())
        if there[at]:
            verdict.doubled += 1
            repeat = repeat + 1 if at == last + 1 else 1
            verdict.longest_repeat = max(verdict.longest_repeat, repeat)
            if at != last + 1:
                verdict.rewinds += 1
                verdict.longest_rewind = max(verdict.longest_rewind, seen + 1 - at)
            if window is None:
                findings.add("doubled", row.identity.decode())
        else:
            there[at] = 1
            first.append(row)
            if at != seen + 1:
                before = wanted[seen].identity.decode() if seen >= 0 else "the beginning"
                findings.add("order", f"{row.identity.decode()} arrived after {before}")
            elif last != seen:
                verdict.late += 1
        last, seen = at, max(seen, at)
    for i, row in enumerate(wanted):
        if not there[i]:
            verdict.lost += 1
            verdict.holes += i < seen
            findings.add("lost", row.identity.decode())
    return first


def compare(key, source, target, dead, window, several=False):
    """One source partition. `window`: how many records may arrive again; None: not one.

    several: of the instances, one that was frozen may write what it had in flight long after
    another took over. Then it counts how many records arrive again in a row; otherwise, how far the
    copy goes back.
    """
    verdict = Verdict(key, source=len(source))
    findings = Findings(verdict.findings)
    if len({row.identity for row in source}) != len(source):
        findings.add("laboratory", "the source itself holds a record twice")
    fates = {fate: [row for row in source if content.decode(row.identity).fate == fate]
             for fate in (content.COPY, content.DEAD)}
    verdict.copied, verdict.dead = len(fates[content.COPY]), len(fates[content.DEAD])
    first = _follow(fates[content.COPY], target, verdict, findings, window)
    _follow(fates[content.DEAD], dead, verdict, findings, window)
    again = verdict.longest_repeat if several else verdict.longest_rewind
    if window is not None and again > window:
        findings.add("window", f"the copy went back by {again} records, and "
                               f"{window} is what the documentation allows")
    verdict.digest = _digest(first)
    if not verdict.findings and verdict.digest != _digest(fates[content.COPY]):
        findings.add("digest", "differs from the source's")
    findings.close()
    return verdict


def account(key, source, states):
    """The producer's own account against the source: findings about the laboratory itself."""
    held = {content.decode(row.identity).number for row in source}
    gone = [n for n, state in enumerate(states) if state == ACKNOWLEDGED and n not in held]
    shown = [n for n, state in enumerate(states) if state == ABORTED and n in held]
    findings = []
    if gone:
        findings.append(f"laboratory: {key}: the source lost {len(gone)} records that it had "
                        f"acknowledged (first: {gone[0]})")
    if shown:
        findings.append(f"laboratory: {key}: the source shows {len(shown)} records of aborted "
                        f"transactions (first: {shown[0]})")
    return findings


class Auditor:
    """Reads topics into rows, {Key: [Row]} in log order.

    sealed: topics whose values are envelopes; here: (ring that opens the source's, dataset), there:
    the ring that opens the target's copies
    """

    def __init__(self, sealed, here, there, dataset):
        self._sealed, self._here, self._there, self._dataset = sealed, here, there, dataset
        self._data_keys = {}

    def source(self, cluster, topic):
        """What must arrive: what is committed; of sealed values the text that was sealed."""
        rows = {}
        for record in self._read(cluster, topic):
            mark = content.identity_of(record.headers)
            identity = content.decode(mark)
            headers, value = record.headers, record.value
            if topic in self._sealed and identity.fate == content.COPY:
                headers = self._without_keys(headers)
                value = content.body(mark)
            self._add(rows, mark, record.timestamp, record.key, value, headers)
        return rows

    def target(self, cluster, topic):
        rows = {}
        for record in self._read(cluster, topic):
            mark = content.identity_of(record.headers)
            headers, value = record.headers, record.value
            if topic in self._sealed:
                value = self._open(record)
                headers = self._without_keys(headers)
            self._add(rows, mark, record.timestamp, record.key, value, headers)
        return rows

    def dead_letters(self, cluster, topic, whole):
        """whole: sealed whole, for the source's side to open."""
        rows = {}
        for record in self._read(cluster, topic):
            key, value = record.key, record.value
            headers = [h for h in record.headers if not h[0].startswith(DEAD_LETTER_PREFIX)]
            if whole:
                key, value, headers = self.open_whole(record)
            mark = content.identity_of(headers)
            self._add(rows, mark, record.timestamp, key, value, tuple(headers))
        return rows

    def open_whole(self, record):
        return self._here.open_whole(record, self._dataset)

    @staticmethod
    def _read(cluster, topic):
        for records in read_all(cluster.bootstrap, topic).values():
            yield from records

    @staticmethod
    def _without_keys(headers):
        return tuple(h for h in headers if h[0] != KEYS_HEADER)

    @staticmethod
    def _add(rows, mark, timestamp, key, value, headers):
        digest = hashlib.blake2b(repr((timestamp, key, value, headers)).encode(), digest_size=16)
        rows.setdefault(content.decode(mark).key, []).append(Row(mark, digest.digest()))

    def _open(self, record):
        """As Keyring.open, but a data key that many records share is unwrapped once."""
        block = next(value for name, value in record.headers if name == KEYS_HEADER)
        if block not in self._data_keys:
            self._data_keys[block] = self._there.data_key(record, self._dataset)
        return envelope.open_value(record.value, self._data_keys[block], self._dataset, None,
                                   record.key)
