#!/usr/bin/env python3
"""The long form: a thousand faults in several runs, and the record of them that is committed.

    record.py --to tests/fault/RECORD.md    about an hour; exit status 0 when every promise held
    record.py --list                        the runs, with the command of each
    record.py --folder F --to FILE          goes on: runs whose report is in F are not made again
    record.py --only 2,4                    these runs alone

Runs are independent of each other: brokers, network and folder are each run's own. --beside tells
how many go on at a time. What is there of a record is written anew after every run.
"""

import argparse
import concurrent.futures
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import shlex
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import report  # noqa: E402
from harness import parts  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Run:
    mode: str
    instances: int
    seed: int
    faults: int
    long: bool  # three nodes for the source, too

    @property
    def arguments(self):
        return ["--mode", self.mode, "--instances", str(self.instances), "--seed", str(self.seed),
                "--faults", str(self.faults), *["--long"] * self.long]

    def __str__(self):
        return f"{self.mode}-{self.instances}-seed-{self.seed}"


# The slow ones first, so that those beside each other end together.
RUNS = [
    Run("exactly-once", 3, 103, 180, False),
    Run("at-least-once", 3, 203, 150, False),
    Run("exactly-once", 2, 102, 100, True),
    Run("at-least-once", 2, 202, 80, True),
    Run("exactly-once", 1, 101, 200, False),
    Run("at-least-once", 1, 201, 150, False),
    Run("exactly-once", 1, 111, 100, True),
    Run("at-least-once", 1, 211, 80, True),
]


# ---- the record --------------------------------------------------------------------------------


def number(value):
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else f"{value:,}"


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def times(spread):
    return [number(spread[name]) for name in ("p50", "p90", "max")]


def _runs(told):
    yield row("delivery", "instances", "source nodes", "seed", "faults", "minutes", "records",
              "aborted at the source", "lost", "doubled", "caught up p50", "p90", "max, s",
              "result")
    yield row(*["---"] * 14)
    for run in told:
        totals = run["totals"]
        yield row(run["mode"], run["instances"], run["source_nodes"], run["seed"], run["struck"],
                  round(run["seconds"] / 60), number(totals["source"]), number(totals["aborted"]),
                  totals["lost"], number(totals["doubled"]), *times(run["recovery"]),
                  run["result"])


def _kinds(told):
    modes = sorted({run["mode"] for run in told})
    yield row("fault", "count", *[f"records again, {mode}" for mode in modes], "caught up p50",
              "p90", "max, s")
    yield row(*["---"] * (5 + len(modes)))
    for kind in sorted({kind for run in told for kind in run["kinds"]}):
        of = [(run["mode"], run["kinds"][kind]) for run in told if kind in run["kinds"]]
        again = [sum(k["repeated"] for mode, k in of if mode == wanted) for wanted in modes]
        yield row(f"`{kind}`", sum(k["count"] for _, k in of), *[number(n) for n in again],
                  *times(report.spread(t for _, k in of for t in k["recoveries"])))


def _handovers(told):
    yield row("delivery", "fault", "count", "taken over p50", "p90", "max, s")
    yield row(*["---"] * 6)
    for mode in sorted({run["mode"] for run in told}):
        kinds = [run["kinds"] for run in told if run["mode"] == mode]
        for kind in sorted({kind for of in kinds for kind, k in of.items() if k["handovers"]}):
            spread = report.spread(t for of in kinds for t in of.get(kind, {"handovers": []})[
                "handovers"])
            yield row(mode, f"`{kind}`", spread["count"], *times(spread))


def _outcome(told):
    struck, seconds = sum(run["struck"] for run in told), sum(run["seconds"] for run in told)
    failed = [run for run in told if run["result"] != "passed"]
    yield (f"**{struck:,} faults in {len(told)} runs: "
           + ("every promise held.**" if not failed else f"{len(failed)} runs FAILED.**"))
    spread = report.spread(t for run in told for k in run["kinds"].values()
                           for t in k["recoveries"])
    p50, p90, most = times(spread)
    yield (f"Caught up after a fault was mended, without a hand, in all {spread['count']} cases "
           f"that were waited for: p50 {p50} s, p90 {p90} s, max {most} s. The runs took "
           f"{seconds / 60:.0f} minutes, added up.")


def write(path, told, note):
    """The record as Markdown. told: what run.py --report wrote, in the order of RUNS."""
    lines = ["# The fault lab's record", "", *note, "", *_outcome(told), "", "## Runs", "",
             *_runs(told), ""]
    lines += ["`doubled` counts records that arrived again. Exactly once, it must be 0; at least "
              "once, they must come within the window that the main README states, after a fault "
              "that it names, and the lab checks that.", ""]
    failed = [run for run in told if run["findings"]]
    if failed:
        lines += ["## Findings", ""]
        for run in failed:
            lines += [f"`{run['replay']}`", "", "```", *run["findings"][:20], "```", ""]
    lines += ["## Faults", "", *_kinds(told), ""]
    handovers = list(_handovers(told))
    if len(handovers) > 2:
        lines += ["## Hand-over", "",
                  "From the moment that an instance is killed or told to leave until the others "
                  "have copied what was written meanwhile.", "", *handovers, ""]
    memory = [f"- {run['mode']}, {run['instances']} instances, seed {run['seed']}: "
              f"{run['memory'].get('before')} and {run['memory'].get('after')}" for run in told]
    lines += ["## Memory", "", "KiB of each instance: the most of the first quarter of the faults, "
              "and after the last.", "", *memory, "", "## Again", "",
              "A run alone: the command of the lab with its mode, instances, seed and number of "
              "faults. All of them:", "", "```sh", "python tests/fault/record.py --to FILE", "```"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def note():
    version = subprocess.run([parts.binary(), "version"], capture_output=True, text=True,
                             check=False).stdout.split("\n")[0]
    commit = subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty"],
                            capture_output=True, text=True, check=False).stdout.strip()
    kafka = parts.versions()
    return [f"Written by record.py on {datetime.date.today()}, at commit {commit} ({version}); "
            f"Kafka {kafka['KAFKA_OLD']} as the source, three nodes of {kafka['KAFKA_NEW']} as "
            f"the target; {os.cpu_count()} cores, {platform.system()} {platform.machine()}."]


# ---- running -----------------------------------------------------------------------------------


def make(run, options, base):
    """Makes one run, unless its report is there; True where it has one then."""
    told = base / f"{run}.json"
    if told.exists():
        return True
    began = time.monotonic()
    folder = base / f"{run}-{round(time.time())}"
    command = [sys.executable, str(HERE / "run.py"), *run.arguments, "--folder", str(folder),
               "--report", str(told)]
    if options.binary:
        command += ["--binary", str(options.binary)]
    with open(base / f"{run}.log", "a", encoding="utf-8") as log:
        status = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    outcome = {0: "passed", 1: "FAILED"}.get(status, "the lab could not work")
    print(f"{run}: {outcome} after {time.monotonic() - began:.0f} s; log: {base / f'{run}.log'}",
          flush=True)
    return told.exists()


def reports(runs, base):
    return [json.loads((base / f"{run}.json").read_text(encoding="utf-8")) for run in runs
            if (base / f"{run}.json").exists()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=pathlib.Path, help="the record")
    parser.add_argument("--folder", type=pathlib.Path, help="for logs and reports; kept")
    parser.add_argument("--binary", type=pathlib.Path, help="the bridge (default: the build)")
    parser.add_argument("--beside", type=int, default=2, help="runs at a time (default: 2)")
    parser.add_argument("--only", type=lambda text: [int(n) for n in text.split(",")],
                        default=range(1, len(RUNS) + 1), help="numbers of runs")
    parser.add_argument("--list", action="store_true", help="list the runs, and leave")
    options = parser.parse_args()
    runs = [RUNS[n - 1] for n in options.only]
    if options.list:
        for n, run in zip(options.only, runs, strict=True):
            print(f"{n}  python tests/fault/run.py {shlex.join(run.arguments)}")
        print(f"{sum(run.faults for run in runs)} faults")
        return 0
    if options.binary:
        os.environ["DRAWBRIDGE_BINARY"] = str(options.binary.resolve())
    base = options.folder or pathlib.Path(tempfile.mkdtemp(prefix="drawbridge-record-"))
    base.mkdir(parents=True, exist_ok=True)
    print(f"logs and reports: {base}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.beside) as pool:
        for done in concurrent.futures.as_completed([pool.submit(make, run, options, base)
                                                     for run in runs]):
            done.result()
            if options.to and (told := reports(runs, base)):
                write(options.to, told, note())
    told = reports(runs, base)
    good = len(told) == len(runs) and all(run["result"] == "passed" for run in told)
    print(f"{sum(run['struck'] for run in told)} faults in {len(told)} of {len(runs)} runs, "
          f"{sum(run['result'] == 'passed' for run in told)} passed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
