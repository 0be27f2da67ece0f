#!/usr/bin/env python3
"""The fault lab: faults drawn from a seed against a live bridge, then both sides are compared.

    run.py --seed 7 --faults 100                       at least once, one instance
    run.py --short                                     what CI runs, a few minutes
    run.py --seed 7 --faults 100 --kinds bridge-kill,net-cut
    run.py --list                                      the faults, and which can run here
    run.py --seed 7 --faults 40 --plan                 the plan alone

Exit status: 0 when every promise held, 1 when one did not, 2 when the lab itself could not work.
README.md tells how to read what it prints.
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import audit  # noqa: E402
import network  # noqa: E402
import plan  # noqa: E402
import report  # noqa: E402
import world  # noqa: E402
from faults import FAULTS  # noqa: E402
from harness import parts  # noqa: E402
from load import ABORTED  # noqa: E402

MODES = ("at-least-once", "exactly-once")
SHORT_SEED, SHORT_FAULTS = 1, 45  # so that every kind comes once
RECOVERY_LIMIT = 60.0
MEMORY_LIMIT = 1.2
MAKE_CLIENTS_ANEW = {"bridge-pause-long"}
WARM_UP = 5.0
GROUP_WAIT = 15.0   # seconds until the source's group has heard of the end; it is told at leisure
LAST_CHANCE = 20.0  # seconds to arrive after a failure, before both sides are compared
# After these words of a bridge's log, records may arrive again.
EXPLAINED = (b"the producer became unusable", b"the group took this instance for dead")
# The whole new log is read, also by an instance that takes over with a position in the old one.
READ_ANEW = b"going on at 0 (on-gap: earliest)"


class Lab:
    """One run of one mode."""

    def __init__(self, options, mode, folder):
        self.options, self.mode, self.folder = options, mode, folder
        self.capabilities = world.capabilities(mode, options.long, options.instances)
        self.done = []
        self.findings = []
        self.struck = {}  # findings by the kinds that were at work; None: the audit
        self.at_work = None
        self.verdicts = []
        self.memory = {}
        self.aborted = 0
        self.started = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.started:6.1f}  {text}", flush=True)

    def find(self, text):
        self.findings.append(text)
        self.struck.setdefault(self.at_work, []).append(text)
        self.say(f"FOUND   {text}")

    def run(self):
        with world.World(self.folder, self.mode, self.options.instances, self.options.long) as lab:
            self.world = lab
            self.steps = plan.draw(self.options.seed, self.options.faults, lab.shape,
                                   self.capabilities, self.options.kinds)
            try:
                self._warm_up()
                self._strike()
                self._settle()
            except (AssertionError, TimeoutError) as error:
                self.find(f"{error}")
                self._judge_failure()
                return
            self._audit()
            self._check_positions()

    # --- The run --------------------------------------------------------------------------------

    def _warm_up(self):
        """The copy runs, has worked off a backlog once, and uses as much memory as it will."""
        self.window = Window(self.world)
        self.world.load.start()
        self.world.watch.start()
        time.sleep(WARM_UP)
        for instance in self.world.instances:
            instance.start()
        time.sleep(WARM_UP)
        self.world.wait_caught_up(self.world.load.mark())
        self._check_repeats()
        self.memory["before"] = [i.resident() for i in self.world.instances]
        self.say(f"ready: {self.world.watch.arrived} records copied, "
                 f"{self.memory['before']} KiB resident")

    def _strike(self):
        for step in self.steps:
            time.sleep(step.pause)
            fault, self.at_work = step.fault(), step.kind
            began, repeats = time.monotonic(), self.world.watch.repeats
            self.window.add(step)
            fault.inject(self.world)
            self._hold(step)
            fault.heal(self.world)
            healed, recovery = time.monotonic(), None
            if step.settle:
                self.world.load.wait_alive()
                recovery = self.world.wait_caught_up(self.world.load.mark(), RECOVERY_LIMIT, healed)
                self._check_repeats()
            self.world.check()
            done = report.Done(step.number, step.kind, str(step), began - self.started,
                               time.monotonic() - began, recovery,
                               self.world.watch.repeats - repeats,
                               getattr(fault, "handover", None))
            self.done.append(done)
            waited = "" if recovery is None else f"  caught up after {recovery:.2f} s"
            if done.handover is not None:
                waited = f"  taken over after {done.handover:.2f} s{waited}"
            again = f"  {done.repeats} again" if done.repeats else ""
            self.say(f"{step.number:4}/{len(self.steps)} {step}{waited}{again}")
            # The one after it, too: it may come before the clients are there again.
            warming = bool(MAKE_CLIENTS_ANEW & {d.kind for d in self.done[-2:]}
                           - {d.kind for d in self.done[:-2]})
            if warming or step.number * 4 <= len(self.steps):
                self._note_memory()

    def _note_memory(self):
        """The first faults still warm up: connections to every node. So does the first one of those
        after which all clients are made anew; a second one must cost nothing more."""
        self.memory["before"] = [max(before, instance.resident() if instance.bridge.running else 0)
                                 for before, instance in zip(self.memory["before"],
                                                             self.world.instances, strict=True)]

    def _check_repeats(self):
        for finding in self.window.close():
            self.find(finding)

    def _hold(self, step):
        if step.kill is None:
            time.sleep(step.hold)
            return
        instance = self.world.instances[step.kill]
        time.sleep(step.hold / 2)
        instance.kill()
        instance.start()
        time.sleep(step.hold / 2)

    def _settle(self):
        self.at_work = None
        self.world.load.finish()
        took = self.world.wait_caught_up(self.world.load.mark(), RECOVERY_LIMIT)
        self.say(f"the load has ended: all arrived within {took:.2f} s")
        time.sleep(1.0)
        self.world.wait_group_told(GROUP_WAIT)
        self._check_repeats()
        self.memory["after"] = [i.resident() for i in self.world.instances]
        self._compare_memory()
        for instance in self.world.instances:
            instance.terminate()

    # --- The verdict ----------------------------------------------------------------------------

    def _judge_failure(self):
        """Compares both sides all the same: that tells which records are concerned."""
        self.at_work = None
        try:
            self.world.load.finish()
            deadline = time.monotonic() + LAST_CHANCE
            while self.world.watch.missing(self.world.load.mark()) and time.monotonic() < deadline:
                time.sleep(0.5)
            for instance in self.world.instances:
                instance.kill()
            self._audit()
        except Exception as error:
            self.find(f"laboratory: no audit after the failure: {error!r}")

    def _compare_memory(self):
        for instance, before, after in zip(self.world.instances, self.memory["before"],
                                           self.memory["after"], strict=True):
            if after > before * MEMORY_LIMIT:
                self.find(f"memory: {instance.name} used {before} KiB before and {after} KiB after")

    def _audit(self):
        lab = self.world
        source, target, dead = dict(lab.past), {}, {}
        for stream in world.streams():
            source |= {key: source.get(key, []) + rows for key, rows in
                       lab.auditor.source(lab.source, stream.topic).items()}
            target |= lab.auditor.target(lab.target, stream.topic)
        for name, topic in world.DEAD.items():
            dead |= lab.auditor.dead_letters(lab.target, topic, whole=name == "sealed")
        several = self.options.instances > 1
        for key in sorted(source.keys() | target.keys() | dead.keys()):
            window = None if self.mode == "exactly-once" else world.WINDOW
            if window and several and key.topic == world.RENEWED:
                window = len(source.get(key, []))  # READ_ANEW
            verdict = audit.compare(key, source.get(key, []), target.get(key, []),
                                    dead.get(key, []), window, several)
            self.verdicts.append(verdict)
            if verdict.findings:
                self._keep(key, source=source, target=target, dead=dead)
            for finding in verdict.findings:
                self.find(f"{key}: {finding}")
            for finding in audit.account(key, source.get(key, []), lab.load.states.get(key, b"")):
                self.find(finding)
        totals = report.totals(self.verdicts)
        self.aborted = lab.load.count(ABORTED)
        self.say("audit: {source} records in {partitions} source partitions: {copied} to copy, "
                 "{dead} dead letters; {lost} lost, {doubled} doubled; beside them {aborted} of "
                 "aborted transactions".format(partitions=len(self.verdicts), aborted=self.aborted,
                                               **totals))
        if totals["source"] == 0 or self.aborted == 0:
            self.find("laboratory: nothing was produced, or no transaction aborted")

    def _keep(self, key, **sides):
        """The order in which a partition's records stand, for who looks into a finding."""
        for side, rows in sides.items():
            lines = [row.identity.decode() + "\n" for row in rows.get(key, [])]
            path = self.folder / f"{key.topic}-{key.partition}-life{key.life}.{side}"
            path.write_text("".join(lines), encoding="utf-8")

    def _check_positions(self):
        """Every stored position is the end of its source partition: checkpoint, ledger and group.

        With several instances, those that gave a partition away keep the position that they had.
        """
        lab = self.world
        told, groups = world.positions(lab.instances), world.group_positions(lab.source)
        ledger = world.ledger_positions(lab.target) if self.mode == "exactly-once" else None
        for stream in world.streams():
            for number, (_, end) in lab.source.ends(stream.topic).items():
                where = stream.topic, number
                if end == 0:
                    continue
                if end not in told.get(where, ()):
                    self.find(f"checkpoint: {where} ends at {end}, stored is {told.get(where)}")
                if groups.get(where) != end:  # see also wait_group_told()
                    self.find(f"group: {where} ends at {end}, committed is {groups.get(where)}")
                if ledger is not None and ledger.get(where) != end:
                    self.find(f"ledger: {where} ends at {end}, stated is {ledger.get(where)}")

    # --- The report -----------------------------------------------------------------------------

    def replay(self):
        kinds = f" --kinds {','.join(self.options.kinds)}" if self.options.kinds else ""
        return (f"python tests/fault/run.py --seed {self.options.seed} --faults "
                f"{self.options.faults} --mode {self.mode} --instances {self.options.instances}"
                + " --long" * self.options.long + kinds)

    def conclude(self):
        """Prints the report and writes report.json; true when nothing was found."""
        missing = plan.unavailable(self.capabilities, self.options.kinds or FAULTS)
        took = time.monotonic() - self.started
        print(f"\n{self.mode}, {self.options.instances} instance(s), seed {self.options.seed}, "
              f"{len(self.done)} of {self.options.faults} faults, "
              f"{took:.0f} s")
        print(report.table(self.done, missing))
        totals = report.totals(self.verdicts)
        print("records: " + ", ".join(f"{count} {name}" for name, count in totals.items()))
        print(f"memory in KiB: {self.memory}")
        told = report.summary(self.done) | {
            "result": "failed" if self.findings else "passed", "mode": self.mode,
            "instances": self.options.instances, "source_nodes": 3 if self.options.long else 1,
            "seed": self.options.seed, "planned": self.options.faults, "seconds": round(took),
            "totals": totals | {"aborted": self.aborted}, "memory": self.memory,
            "findings": self.findings, "unavailable": missing, "replay": self.replay()}
        if self.options.report:
            report.write(self.options.report, **told)
        report.write(
            self.folder / "report.json", **told, binary=parts.binary(),
            faults=[vars(done) for done in self.done],
            plan=[str(step) for step in getattr(self, "steps", [])],
            partitions=[vars(verdict) for verdict in self.verdicts])
        if self.findings:
            print(f"\nFAILED with {len(self.findings)} findings, seed {self.options.seed}:")
            for finding in self.findings[:20]:
                print(f"  {finding}")
            print(f"replay: {self.replay()}\nlogs:   {self.folder}")
        else:
            print(f"passed: nothing lost, nothing out of order, seed {self.options.seed}")
        return not self.findings

    def cases(self):
        """One test a kind of fault, and one for the audit. Skipped: what the machine cannot do."""
        missing = plan.unavailable(self.capabilities | world.FORMS, self.options.kinds or FAULTS)
        cases = [(kind, "skipped", f"not available: {why}") for kind, why in missing.items()]
        kinds = {done.kind for done in self.done} | set(self.struck) - {None}
        for kind in [*sorted(kinds), None]:
            found = "; ".join(self.struck.get(kind, []))
            cases.append((kind or "audit", "failed" if found else "passed", found))
        return [(f"{self.mode} {name}", outcome, text) for name, outcome, text in cases]


class Window:
    """The time since the copy was last known to be good, and what may explain repeats in it."""

    def __init__(self, lab):
        self._lab = lab
        self._steps = []
        self._lost_before = 0
        self._mark()

    def _mark(self):
        self._repeats = self._lab.watch.repeats
        self._starts = sum(instance.starts for instance in self._lab.instances)
        self._logs = {i.name: len(i.bridge.log.read_bytes()) if i.bridge.log.exists() else 0
                      for i in self._lab.instances}

    def add(self, step):
        self._steps.append(step)

    def close(self):
        """Findings about repeats that nothing explains, or too little; the next window begins."""
        steps = ", ".join(str(step) for step in self._steps) or "nothing at all"
        count = self._lab.watch.repeats - self._repeats
        said = [i.bridge.log.read_bytes()[self._logs[i.name]:] for i in self._lab.instances]
        most = self._causes(said) * world.WINDOW * len(self._lab.shape.pipelines)
        read_anew = any(READ_ANEW in text for text in said)
        self._steps = []
        self._mark()
        if count > most and not (read_anew and self._lab.mode == "at-least-once"):
            return [f"repeats: {count} records arrived again after {steps}; {most} may"]
        return []

    def _causes(self, said):
        """How often something happened after which records may arrive again."""
        if self._lab.mode == "exactly-once":
            return 0
        now = sum(text.count(words) for text in said for words in EXPLAINED)
        # Who was taken for dead gets its part back when all has been dealt out anew, and what it
        # had sent arrives again then.
        lost, self._lost_before = now + self._lost_before, now
        named = sum(step.repeats for step in self._steps)
        if not named:
            return lost
        started = sum(instance.starts for instance in self._lab.instances) - self._starts
        return lost + named + started


# --- The command --------------------------------------------------------------------------------


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="what the faults are drawn from (default: random)")
    parser.add_argument("--faults", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--mode", choices=MODES, default=MODES[0])
    parser.add_argument("--instances", type=int, default=1)
    parser.add_argument("--long", action="store_true", help="three nodes for the source too")
    parser.add_argument("--short", action="store_true",
                        help="the form for CI: a fixed seed, every mode that the bridge has")
    parser.add_argument("--kinds", type=lambda text: text.split(","), help="only these faults")
    parser.add_argument("--binary", type=pathlib.Path, help="the bridge (default: the build)")
    parser.add_argument("--folder", type=pathlib.Path, help="for logs and the report; kept")
    parser.add_argument("--report", type=pathlib.Path,
                        help="write what came of it there, in JSON; record.py makes a record of it")
    parser.add_argument("--junit", type=pathlib.Path, help="write the outcome as tests there")
    parser.add_argument("--list", action="store_true", help="list the faults, and leave")
    parser.add_argument("--plan", action="store_true", help="print the plan, and leave")
    options = parser.parse_args()
    if options.kinds and not set(options.kinds) <= set(FAULTS):
        parser.error(f"no such faults: {', '.join(sorted(set(options.kinds) - set(FAULTS)))}")
    if options.short:
        options.faults = SHORT_FAULTS
        options.seed = SHORT_SEED if options.seed is None else options.seed
        if options.report:
            parser.error("--report is of one run, and --short makes several")
    if options.seed is None:
        options.seed = random.randrange(1_000_000)
    if options.binary:
        os.environ["DRAWBRIDGE_BINARY"] = str(options.binary.resolve())
    return options


def show_list(options):
    missing = plan.unavailable(world.capabilities(options.mode, options.long, options.instances))
    for kind, fault in FAULTS.items():
        note = f"  [not available: {missing[kind]}]" if kind in missing else ""
        print(f"{kind:30} {fault.__doc__.splitlines()[0]}{note}")


def show_plan(options):
    shape = world.shape(options.instances, options.long)
    for step in plan.draw(options.seed, options.faults, shape,
                          world.capabilities(options.mode, options.long, options.instances),
                          options.kinds):
        print(f"{step.number:4} {step}")


def main():
    options = arguments()
    network.isolate()
    if options.list or options.plan:
        show_list(options) if options.list else show_plan(options)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    supported = world.supported_modes()
    if options.mode not in supported:
        print(f"this bridge does not know delivery: {options.mode}", file=sys.stderr)
        return 2
    base = options.folder or pathlib.Path(tempfile.mkdtemp(prefix="drawbridge-fault-"))
    modes = supported if options.short else [options.mode]
    if options.short:
        options.faults = -(-options.faults // len(modes))
    good, cases = True, []
    for mode in modes:
        folder = base / mode
        folder.mkdir(parents=True)
        lab = Lab(options, mode, folder)
        print(f"seed {options.seed}, {options.faults} faults, {mode}; replay: {lab.replay()}")
        try:
            lab.run()
        except Exception:
            traceback.print_exc()
            print(f"the lab could not work; logs: {folder}")
            return 2
        good = lab.conclude() and good
        cases += lab.cases()
    if options.junit:
        report.write_junit(options.junit, cases)
    if good and not options.folder:
        shutil.rmtree(base)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
