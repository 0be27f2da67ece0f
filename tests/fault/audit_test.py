"""The audit finds what it is there for: fabricated logs, each with one thing wrong."""

import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import audit  # noqa: E402
import content  # noqa: E402
import plan  # noqa: E402
from faults import FAULTS  # noqa: E402

KEY = content.Key("orders", 0, 3)
WINDOW = 10


def row(number, fate=content.COPY, digest=b"as it was"):
    return audit.Row(content.Identity(KEY, number, fate).encode(), digest)


SOURCE = [row(i) for i in range(20)]


def compare(target, source=SOURCE, dead=(), window=WINDOW):
    return audit.compare(KEY, source, target, dead, window)


def kinds(verdict):
    return {finding.split(":")[0] for finding in verdict.findings}


def test_a_faithful_copy_has_no_findings():
    verdict = compare(SOURCE, window=None)
    assert (verdict.findings, verdict.lost, verdict.doubled) == ([], 0, 0)
    assert verdict.copied == verdict.source == 20


@pytest.mark.parametrize("missing", [0, 7, 19])
def test_one_lost(missing):
    verdict = compare(SOURCE[:missing] + SOURCE[missing + 1:])
    assert verdict.lost == 1
    assert f"lost: {row(missing).identity.decode()}" in verdict.findings


@pytest.mark.parametrize(("gone", "holes"), [(0, 1), (7, 1), (19, 0)])
def test_what_is_still_to_come_is_told_from_a_hole(gone, holes):
    verdict = compare(SOURCE[:gone] + SOURCE[gone + 1:])
    assert (verdict.lost, verdict.holes) == (1, holes)


def test_all_lost():
    verdict = compare([])
    assert verdict.lost == 20 and "lost: 20 in all" in verdict.findings


@pytest.mark.parametrize("again", [0, 7, 19])
def test_one_doubled_is_refused_exactly_once(again):
    verdict = compare(SOURCE[:again + 1] + SOURCE[again:], window=None)
    assert (verdict.doubled, kinds(verdict)) == (1, {"doubled"})


def test_a_run_repeated_within_the_window_is_allowed_at_least_once():
    verdict = compare(SOURCE[:15] + SOURCE[5:])
    assert verdict.findings == []
    assert (verdict.doubled, verdict.rewinds, verdict.longest_rewind) == (10, 1, 10)


def test_a_run_repeated_from_before_the_window():
    verdict = compare(SOURCE[:15] + SOURCE[4:])
    assert (verdict.longest_rewind, kinds(verdict)) == (11, {"window"})


def test_several_short_rewinds_are_not_added_up():
    verdict = compare(SOURCE[:10] + SOURCE[5:12] + SOURCE[8:])
    assert (verdict.findings, verdict.rewinds) == ([], 2)


def test_with_several_instances_a_late_run_counts_by_its_length():
    """One that was frozen wakes up, far behind, and writes what it had in flight."""
    late = [*SOURCE[:18], *SOURCE[2:5], *SOURCE[18:]]
    assert kinds(compare(late)) == {"window"}
    verdict = audit.compare(KEY, SOURCE, late, [], WINDOW, several=True)
    assert (verdict.findings, verdict.longest_repeat, verdict.late) == ([], 3, 1)
    long = [*SOURCE[:18], *SOURCE[2:13], *SOURCE[18:]]
    assert kinds(audit.compare(KEY, SOURCE, long, [], WINDOW, several=True)) == {"window"}


def test_a_record_of_an_aborted_transaction_on_the_target():
    """read_committed does not show it in the source."""
    committed = [r for r in SOURCE if r != row(7)]
    assert compare(committed, committed).findings == []
    assert kinds(compare(SOURCE, committed)) == {"foreign"}


def test_two_swapped():
    target = list(SOURCE)
    target[7], target[8] = target[8], target[7]
    verdict = compare(target)
    assert (verdict.lost, verdict.doubled, kinds(verdict)) == (0, 0, {"order"})


def test_a_run_that_arrives_late_is_told_apart():
    """What a killed bridge had left with a broker comes after what its successor sent."""
    late = SOURCE[:10] + SOURCE[5:8] + SOURCE[10:]
    verdict = compare(late)
    assert (verdict.findings, verdict.late, verdict.doubled) == ([], 1, 3)
    assert compare(SOURCE[:15] + SOURCE[5:]).late == 0
    assert kinds(compare(late, window=None)) == {"doubled"}


def test_one_arrives_before_those_in_front_of_it():
    target = SOURCE[:5] + [SOURCE[7]] + SOURCE[5:7] + SOURCE[8:]
    assert kinds(compare(target)) == {"order"}


@pytest.mark.parametrize("repeated", [False, True])
def test_one_altered(repeated):
    bad = row(7, digest=b"otherwise")
    target = SOURCE[:8] + [bad] + SOURCE[8:] if repeated else SOURCE[:7] + [bad] + SOURCE[8:]
    assert "altered" in kinds(compare(target))


def test_a_record_that_nobody_wrote():
    assert kinds(compare([*SOURCE, row(20)])) == {"foreign"}


def test_dead_letters_are_accounted_for():
    source = [row(i, content.DEAD if i in (3, 4) else content.COPY) for i in range(10)]
    copied = [r for r in source if content.decode(r.identity).fate == content.COPY]
    dead = [source[3], source[4]]
    assert compare(copied, source, dead).findings == []
    assert compare(copied, source, dead, window=None).dead == 2
    assert kinds(compare(copied, source, dead[:1])) == {"lost"}
    assert kinds(compare(copied, source, dead[::-1])) == {"order"}
    assert kinds(compare(copied, source, [*dead, dead[1]], window=None)) == {"doubled"}
    # A record that must fail arrives on the target, or a good one among the dead letters.
    assert kinds(compare(source, source, dead)) == {"foreign"}
    assert kinds(compare(copied[1:], source, [copied[0], *dead])) >= {"foreign", "lost"}


def test_a_source_that_holds_a_record_twice_is_the_laboratorys_fault():
    assert "laboratory" in kinds(compare(SOURCE, [*SOURCE, SOURCE[0]]))


def test_acknowledged_records_must_be_in_the_source():
    assert audit.account(KEY, SOURCE, bytearray([1] * 20)) == []
    assert audit.account(KEY, SOURCE, bytearray([1] * 20 + [2])) == []  # failed: unknown
    (finding,) = audit.account(KEY, SOURCE, bytearray([1] * 21))
    assert "the source lost 1" in finding
    assert audit.account(KEY, SOURCE, bytearray([1] * 20 + [3])) == []  # aborted, and not there
    (finding,) = audit.account(KEY, SOURCE, bytearray([3] + [1] * 19))
    assert "the source shows 1 records of aborted transactions" in finding


def test_identities_say_who_a_record_is():
    identity = content.Identity(content.Key("a.b", 2, 5), 17, content.DEAD)
    assert content.decode(identity.encode()) == identity
    assert content.body(identity.encode()) == content.body(identity.encode())
    assert content.body(identity.encode()) != content.body(identity._replace(number=18).encode())


# ---- plans -------------------------------------------------------------------------------------

SHAPE = plan.Shape(3, 1, 2, 2, ("plain",))
EVERYTHING = {need for fault in FAULTS.values() for need in fault.needs}


def test_a_seed_is_a_plan():
    def drawn(seed):
        return [str(step) for step in plan.draw(seed, 100, SHAPE, EVERYTHING)]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_every_kind_comes_before_any_comes_twice():
    steps = plan.draw(5, len(FAULTS), SHAPE, EVERYTHING)
    assert {step.kind for step in steps} == set(FAULTS)


def test_what_cannot_run_here_is_left_out_of_the_same_plan():
    everywhere = plan.draw(5, 60, SHAPE, EVERYTHING)
    here = plan.draw(5, 30, SHAPE, EVERYTHING - {"packets"})
    kept = [s for s in everywhere if "packets" not in FAULTS[s.kind].needs]
    assert [(s.kind, s.parameters, s.hold) for s in here[:-1]] == \
        [(s.kind, s.parameters, s.hold) for s in kept[:29]]
    assert all("packets" in why for why in plan.unavailable(EVERYTHING - {"packets"}).values())


def test_every_fault_tells_what_it_is():
    for name, fault in FAULTS.items():
        assert fault.__doc__ and fault.__doc__ != fault.__base__.__doc__, name
