"""The lab's own parts: transactions of the load, mutants, plans for several instances, the record."""

import pathlib
import sys

import confluent_kafka
import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import mutants  # noqa: E402
import plan  # noqa: E402
import record  # noqa: E402
import report  # noqa: E402
from faults import FAULTS  # noqa: E402
from transactions import Transactions  # noqa: E402

EVERYTHING = {need for fault in FAULTS.values() for need in fault.needs}

# ---- the load's transactions -------------------------------------------------------------------


class Load:
    """Remembers what became of the records."""

    def __init__(self):
        self.outcomes = []

    def enter(self, topic):
        return topic

    def fields(self, entered):
        return {"topic": entered}

    def settle(self, entered, outcome):
        self.outcomes.append(outcome)


class Producer:
    """Fails as it is told: {method: [error or None, in turn]}"""

    def __init__(self, **failures):
        self._failures, self.calls = failures, []

    def __getattr__(self, name):
        def call(*_, **__):
            self.calls.append(name)
            turns = self._failures.get(name, [])
            if error := turns.pop(0) if turns else None:
                raise confluent_kafka.KafkaException(error)
        return call


def error(retriable=False, abortable=False):
    return confluent_kafka.KafkaError(confluent_kafka.KafkaError._TIMED_OUT, "made up", False,
                                      retriable, abortable)


def one(producer, commits=True):
    """What became of one transaction, and whether the producer can be used on."""
    load = Load()
    made = Transactions(None, load, "t")
    made._rng.random = lambda: 1.0 if commits else 0.0
    made._rng.uniform = lambda low, high: 0
    return made._one(producer), load.outcomes


def test_a_transaction_is_committed_or_aborted():
    assert one(Producer()) == (True, ["committed"])
    assert one(Producer(), commits=False) == (True, ["aborted"])


def test_a_call_without_an_answer_is_made_again():
    producer = Producer(commit_transaction=[error(retriable=True)] * 2)
    assert one(producer) == (True, ["committed"])
    assert producer.calls.count("commit_transaction") == 3


def test_a_commit_that_had_to_be_aborted_is_not_expected():
    assert one(Producer(commit_transaction=[error(abortable=True)])) == (True, ["aborted"])
    assert one(Producer(produce=[error(abortable=True)])) == (True, ["aborted"])


def test_a_commit_that_nobody_answers_for_is_unknown():
    assert one(Producer(commit_transaction=[error()])) == (False, ["unknown"])


def test_what_was_never_committed_is_aborted_whatever_the_producer_says():
    broken = Producer(produce=[error()], abort_transaction=[error()])
    assert one(broken) == (False, ["aborted"])


# ---- mutants -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mutant", mutants.everyone(), ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code_and_says_how_it_is_caught(mutant):
    assert set(mutant.kinds.split(",")) <= set(FAULTS)
    assert mutant.expect in ("hole", "lost", "doubled", "repeats")
    assert int(mutant.faults) <= 25
    assert mutant.mode != "exactly-once" or mutant.expect != "repeats"
    assert mutant.fits(mutants.CHECKOUT) is None


def test_the_five_of_the_promise_are_there():
    assert {mutant.name for mutant in mutants.everyone()} >= {
        "checkpoint-before-acknowledgement", "lmdb-before-commit", "ledger-outside-transaction",
        "no-rewind-after-abort", "resume-from-lmdb"}


def test_a_mutant_is_caught_by_what_it_does_and_nothing_else():
    told = {"findings": ["not caught up", "repeats: 3 records"],
            "totals": {"holes": 0, "lost": 9, "doubled": 2}}
    assert [mutants.evidence(told, expect) for expect in ("hole", "doubled", "repeats")] == \
        [0, 2, 1]


# ---- plans -------------------------------------------------------------------------------------


def draw(instances, count=200, **options):
    shape = plan.Shape(3, 1, instances, 2, ("plain",))
    return plan.draw(5, count, shape, EVERYTHING, **options)


@pytest.mark.parametrize("instances", [2, 3])
def test_every_instance_is_struck(instances):
    steps = draw(instances)
    for kind in ("bridge-kill", "bridge-pause-long", "bridge-terminate", "bridge-gone"):
        struck = [step.parameters["instance"] for step in steps if step.kind == kind]
        assert struck and set(struck) <= set(range(instances))
    assert {step.parameters["instance"] for step in steps if "instance" in step.parameters} == \
        {step.kill for step in steps} - {None} == set(range(instances))


def test_faults_of_several_are_not_drawn_for_one():
    alone = EVERYTHING - {"several instances", "three instances"}
    missing = plan.unavailable(alone)
    assert set(missing) == {"bridge-gone", "bridge-leaves", "bridges-kill", "bridges-kill-but-one"}
    assert set(plan.unavailable(alone | {"several instances"})) == {"bridges-kill-but-one"}


def test_a_choice_of_kinds_means_the_same_when_there_are_more_kinds(monkeypatch):
    kinds = ["net-cut", "bridge-kill"]
    before = [str(step) for step in draw(1, 20, kinds=kinds)]
    monkeypatch.setitem(plan.FAULTS, "another", FAULTS["bridge-kill"])
    assert [str(step) for step in draw(1, 20, kinds=kinds)] == before


# ---- the record --------------------------------------------------------------------------------


def told(mode, done, findings=()):
    totals = dict.fromkeys(("source", "copied", "dead", "lost", "holes", "doubled", "aborted"), 7)
    return report.summary(done) | {
        "mode": mode, "instances": 3, "source_nodes": 1, "seed": 9, "seconds": 60,
        "totals": totals, "findings": list(findings), "memory": {}, "replay": "run.py --seed 9",
        "result": "failed" if findings else "passed"}


def test_the_record_tells_counts_and_times(tmp_path):
    done = [report.Done(i, kind, kind, 0, 1, seconds, 5, handover) for i, (kind, seconds, handover)
            in enumerate([("net-cut", 1.0, None), ("net-cut", 3.0, None), ("net-cut", None, None),
                          ("bridge-gone", 2.0, 6.5)])]
    path = tmp_path / "record.md"
    record.write(path, [told("exactly-once", done), told("at-least-once", done)], ["Note."])
    text = path.read_text()
    assert "**8 faults in 2 runs: every promise held.**" in text
    assert "in all 6 cases that were waited for: p50 2.00 s, p90 3.00 s, max 3.00 s" in text
    assert "| `net-cut` | 6 | 15 | 15 | 2.00 | 3.00 | 3.00 |" in text
    assert "| exactly-once | `bridge-gone` | 1 | 6.50 | 6.50 | 6.50 |" in text
    record.write(path, [told("exactly-once", done, ["lost: x"])], [])
    assert "1 runs FAILED" in path.read_text() and "lost: x" in path.read_text()


def test_the_record_is_of_a_thousand_faults_in_both_modes_with_one_and_more_instances():
    assert sum(run.faults for run in record.RUNS) >= 1000
    assert {(run.mode, run.instances) for run in record.RUNS} >= {
        (mode, count) for mode in ("exactly-once", "at-least-once") for count in (1, 3)}
    assert len({str(run) for run in record.RUNS}) == len(record.RUNS)
