#!/usr/bin/env python3
"""Does the lab catch a bridge that breaks its promise? One wrong bridge for each mutants/*.patch.

    mutants.py                         all of them
    mutants.py checkpoint-before-acknowledgement --minutes 5

Each patch is applied to a copy of the checkout's last commit, built there (ccache spares most of
it), and struck with faults, seed after seed, until the lab finds something or the time is over.
The first lines of a patch say what is wrong with it. Exit status: 0 when every one was caught.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
CAUGHT, PASSED = 1, 0


def run(*command, **options):
    return subprocess.run(command, check=True, **options)


def build(patch, folder):
    """The path of a bridge with the patch."""
    tree = folder / "tree"
    tree.mkdir()
    archive = subprocess.Popen(["git", "-C", str(CHECKOUT), "archive", "HEAD"],
                               stdout=subprocess.PIPE)
    run("tar", "-x", "-C", str(tree), stdin=archive.stdout)
    if archive.wait() != 0:
        raise RuntimeError("git archive failed")
    run("patch", "--silent", "-p1", "-d", str(tree), "-i", str(patch))
    environment = {**os.environ, "CCACHE_BASEDIR": str(tree), "CCACHE_NOHASHDIR": "1"}
    with open(folder / "build.log", "w", encoding="utf-8") as log:
        for command in (["cmake", "--preset", "release", "-DDRAWBRIDGE_TESTS=OFF",
                         "-DDRAWBRIDGE_BENCH=OFF"],
                        ["cmake", "--build", "build/release", "--target", "drawbridge"]):
            run(*command, cwd=tree, env=environment, stdout=log, stderr=log)
    return tree / "build/release/bin/drawbridge"


def hunt(binary, options, folder):
    """The seed that caught it, or None when the time is over."""
    until = time.monotonic() + 60 * options.minutes
    seed = options.seed
    while time.monotonic() < until:
        logs = folder / f"seed-{seed}"
        with open(folder / f"seed-{seed}.log", "w", encoding="utf-8") as log:
            status = subprocess.run(
                [sys.executable, str(HERE / "run.py"), "--seed", str(seed), "--faults",
                 str(options.faults), "--mode", options.mode, "--binary", str(binary),
                 "--folder", str(logs)], stdout=log, stderr=log, check=False).returncode
        if status == CAUGHT:
            return seed
        if status != PASSED:
            raise RuntimeError(f"the lab could not work: {folder}/seed-{seed}.log")
        seed += 1
    return None


def findings(log):
    return [line for line in log.read_text(encoding="utf-8").splitlines() if "FOUND" in line]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mutants", nargs="*", help="names of patches (default: all)")
    parser.add_argument("--minutes", type=float, default=15, help="for each (default: 15)")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--faults", type=int, default=25, help="in a run (default: 25)")
    parser.add_argument("--mode", default="at-least-once")
    parser.add_argument("--folder", type=pathlib.Path, help="for logs; kept")
    options = parser.parse_args()
    patches = sorted((HERE / "mutants").glob("*.patch"))
    if options.mutants:
        patches = [HERE / "mutants" / f"{name}.patch" for name in options.mutants]
    base = options.folder or pathlib.Path(tempfile.mkdtemp(prefix="drawbridge-mutants-"))
    escaped = 0
    for patch in patches:
        folder = base / patch.stem
        folder.mkdir(parents=True)
        began = time.monotonic()
        binary = build(patch, folder)
        print(f"{patch.stem}: built in {time.monotonic() - began:.0f} s", flush=True)
        began = time.monotonic()
        seed = hunt(binary, options, folder)
        took = time.monotonic() - began
        if seed is None:
            escaped += 1
            print(f"{patch.stem}: ESCAPED for {took:.0f} s", flush=True)
        else:
            print(f"{patch.stem}: caught with seed {seed} after {took:.0f} s", flush=True)
            for line in findings(folder / f"seed-{seed}.log")[:5]:
                print(f"    {line}", flush=True)
    if not options.folder:
        shutil.rmtree(base)
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
