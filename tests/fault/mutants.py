#!/usr/bin/env python3
"""Does the lab catch a bridge that breaks its promise? One wrong bridge for each mutants/*.patch.

    mutants.py                              all of them
    mutants.py resume-from-lmdb             one
    mutants.py --check                      do the patches still apply?

A patch begins with what is wrong, and with how the lab catches it, in lines of their own:

    Mode: exactly-once                      Kinds: bridge-kill,bridge-kill-at-start
    Faults: 12                              Seed: 1
    Expect: doubled                         (hole, lost, doubled or repeats: what must be
                                            found; a hole cannot be a record that is late)

Each is applied to a copy of the checkout's last commit, built there (ccache spares most of it), and
must be caught within so many faults of that seed; what the machine makes of a seed differs, so it
is tried a few times. The bridge without any patch must pass the same. Exit status: 0 when all of
that held, and the last line counts.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
FIELDS = ("Mode", "Kinds", "Faults", "Seed", "Expect")
FUZZ = "--fuzz=3"
RUN_LIMIT = 900  # seconds
PASSED, CAUGHT = 0, 1


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A patch, and the run that catches it."""

    path: pathlib.Path
    mode: str
    kinds: str
    faults: str
    seed: str
    expect: str

    @classmethod
    def read(cls, path):
        head = path.read_text(encoding="utf-8").split("\ndiff --git ")[0]
        told = dict(line.split(": ", 1) for line in head.splitlines()
                    if line.split(":")[0] in FIELDS)
        if set(told) != set(FIELDS):
            raise ValueError(f"{path.name}: wants lines {', '.join(FIELDS)} before the patch")
        return cls(path, *(told[name] for name in FIELDS))

    @property
    def name(self):
        return self.path.stem

    @property
    def run(self):
        return ("--mode", self.mode, "--kinds", self.kinds, "--faults", self.faults,
                "--seed", self.seed)

    def fits(self, tree):
        """None, or why the patch cannot be applied to `tree`."""
        done = subprocess.run(["patch", "--dry-run", "--forward", FUZZ, "-p1", "-d", str(tree),
                               "-i", str(self.path)], capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else done.stdout + done.stderr

    def apply(self, tree):
        subprocess.run(["patch", "--forward", "--silent", FUZZ, "-p1", "-d", str(tree),
                        "-i", str(self.path)], check=True)


def everyone():
    return [Mutant.read(path) for path in sorted((HERE / "mutants").glob("*.patch"))]


# ---- building ----------------------------------------------------------------------------------


def build(mutant, folder):
    """The path of a bridge with the patch; without one: as it is."""
    tree = folder / "tree"
    tree.mkdir(parents=True)
    archive = subprocess.Popen(["git", "-C", str(CHECKOUT), "archive", "HEAD"],
                               stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", str(tree)], stdin=archive.stdout, check=True)
    if archive.wait() != 0:
        raise RuntimeError("git archive failed")
    if mutant:
        if why := mutant.fits(tree):
            raise RuntimeError(f"{mutant.path.name} does not fit the code any more:\n{why}")
        mutant.apply(tree)
    environment = {**os.environ, "CCACHE_BASEDIR": str(tree), "CCACHE_NOHASHDIR": "1"}
    with open(folder / "build.log", "w", encoding="utf-8") as log:
        for command in (["cmake", "--preset", "release", "-DDRAWBRIDGE_TESTS=OFF",
                         "-DDRAWBRIDGE_BENCH=OFF"],
                        ["cmake", "--build", "build/release", "-j", str(os.cpu_count()),
                         "--target", "drawbridge"]):
            if subprocess.run(command, cwd=tree, env=environment, stdout=log, stderr=log,
                              check=False).returncode != 0:
                raise RuntimeError(f"it does not build: {folder}/build.log")
    return tree / "build/release/bin/drawbridge"


# ---- running -----------------------------------------------------------------------------------


def strike(binary, mutant, folder):
    """One run of the lab: (its exit status, its report)."""
    folder.mkdir(parents=True)
    with open(folder / "run.log", "w", encoding="utf-8") as log:
        status = subprocess.run(
            [sys.executable, str(HERE / "run.py"), *mutant.run, "--binary", str(binary),
             "--folder", str(folder / "logs"), "--report", str(folder / "report.json")],
            stdout=log, stderr=log, check=False, timeout=RUN_LIMIT).returncode
    if status not in (PASSED, CAUGHT):
        raise RuntimeError(f"the lab could not work: {folder}/run.log")
    return status, json.loads((folder / "report.json").read_text(encoding="utf-8"))


def evidence(report, expect):
    """How much the lab found of what a mutant must be caught by."""
    if expect == "repeats":
        return sum(finding.startswith("repeats:") for finding in report["findings"])
    return report["totals"]["holes" if expect == "hole" else expect]


def try_mutant(mutant, options, folder):
    """True when it was caught, by what it must be caught by."""
    began = time.monotonic()
    binary = build(mutant, folder)
    print(f"{mutant.name}: built in {time.monotonic() - began:.0f} s", flush=True)
    for attempt in range(1, options.tries + 1):
        began = time.monotonic()
        status, report = strike(binary, mutant, folder / f"try-{attempt}")
        took = time.monotonic() - began
        found = evidence(report, mutant.expect) if status == CAUGHT else 0
        within = min(report['struck'] + 1, int(mutant.faults))
        told = (f"within {within} faults of seed {mutant.seed}, {took:.0f} s, "
                f"{report['totals']['lost']} lost, {report['totals']['doubled']} doubled")
        if found:
            print(f"{mutant.name}: caught ({mutant.expect}: {found}; {told})", flush=True)
            return True
        print(f"{mutant.name}: not caught by {mutant.expect} ({told})", flush=True)
    print(f"{mutant.name}: ESCAPED {options.tries} times", flush=True)
    return False


def try_unmutated(binary, mutants, folder):
    """How many of the mutants' runs the bridge as it is passes. Equal runs are done once."""
    results = {}
    for mutant in mutants:
        if mutant.run not in results:
            status, report = strike(binary, mutant, folder / f"run-{len(results) + 1}")
            results[mutant.run] = status == PASSED
            outcome = "passed" if status == PASSED else f"FAILED: {report['findings'][:3]}"
            print(f"unmutated, as {mutant.name}: {outcome}", flush=True)
    return sum(results[mutant.run] for mutant in mutants)


def attempt(function, name):
    try:
        return function()
    except (RuntimeError, subprocess.SubprocessError) as error:
        print(f"{name}: FAILED: {error}", flush=True)
        return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mutants", nargs="*", help="names of patches (default: all)")
    parser.add_argument("--check", action="store_true", help="only whether the patches apply")
    parser.add_argument("--tries", type=int, default=3, help="of a seed (default: 3)")
    parser.add_argument("--folder", type=pathlib.Path, help="for logs; kept")
    options = parser.parse_args()
    mutants = [m for m in everyone() if not options.mutants or m.name in options.mutants]
    if len(mutants) < len(set(options.mutants)):
        parser.error("no such mutant; there are " + ", ".join(m.name for m in everyone()))
    if options.check:
        unfit = {m.name: why for m in mutants if (why := m.fits(CHECKOUT))}
        for name, why in unfit.items():
            print(f"{name}: {why}")
        print(f"{len(mutants) - len(unfit)} of {len(mutants)} patches apply")
        return 1 if unfit else 0
    base = options.folder or pathlib.Path(tempfile.mkdtemp(prefix="drawbridge-mutants-"))
    caught = sum(attempt(lambda m=m: try_mutant(m, options, base / m.name), m.name)
                 for m in mutants)
    passed = attempt(lambda: try_unmutated(build(None, base / "unmutated"), mutants,
                                           base / "unmutated"), "unmutated")
    good = caught == passed == len(mutants)
    if good and not options.folder:
        shutil.rmtree(base)
    elif not good:
        print(f"logs: {base}")
    print(f"mutants: {caught} of {len(mutants)} caught; the unmutated bridge passed {passed} of "
          f"{len(mutants)} of their runs")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
