"""Measures the bridge; started by bench/run.sh. What is measured and how: bench/README.md."""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import subprocess
import time

import recovery
import sampling
from lab import CHECKOUT, SHARDS, Lab, memory_disk, note
from report import Bars, Figures, cpu, megabytes, rate, table

SECTIONS = ("throughput", "wide", "transactions", "recovery", "latency", "memory", "distance")
RECORDS = {100: 3_000_000, 1024: 1_000_000, 10240: 150_000}  # some seconds of each
PARTITIONS = 4
LATENCY_RATE, LATENCY_SECONDS = 10_000, 15
LATENCY_VARIANTS = {"at least once": {}, **{
    f"exactly once, {ms} ms": {"delivery": "exactly-once", "commit_interval": f"{ms}ms"}
    for ms in (10, 50, 100)}}
KILLS, SESSION = 20, 10
SLOW_KB_PER_S, SLOW_SECONDS = 10_000, 15
DISTANCE_MS = 25  # each way
MEMORY_LIMIT = 200e6

REKEY = {"from": "dc", "to": "cloud"}
TRANSFORMS = {
    "rewrap first": [{"rekey": {**REKEY, "mode": "rewrap", "verify": "first"}}],
    "rewrap all": [{"rekey": {**REKEY, "mode": "rewrap", "verify": "all"}}],
    "re-encrypt": [{"rekey": {**REKEY, "mode": "reencrypt"}}],
}


def size_name(size):
    return f"{size} B" if size < 1024 else f"{size // 1024} KiB"


class Bench:
    def __init__(self, lab, options):
        self.lab = lab
        self.rounds = options.rounds
        self.scale = options.scale
        self.sizes = options.sizes
        self.bars = Bars()
        self.raw = []  # every run, for whoever wants to look closer
        self.memory = {}  # variant -> peaks at 1 KiB

    def records(self, size):
        return max(int(RECORDS.get(size, 1_000_000_000 // size) * self.scale), 20_000)

    def keep(self, section, round_, variant, size, run):
        figures = run if isinstance(run, dict) else dataclasses.asdict(run)
        self.raw.append({"section": section, "round": round_, "variant": variant, "size": size,
                         **figures})
        return figures

    def figures(self, section, variant, size, name):
        return Figures([r[name] for r in self.raw if (r["section"], r["variant"], r["size"]) ==
                        (section, variant, size)])

    def copy(self, topic, transforms=(), bootstrap=None):
        target = self.lab.name("copy")
        run = self.lab.copy(topic, target, transforms, bootstrap)
        self.lab.drop(target)
        return run

    def produce(self, size, records, partitions, bootstrap=None):
        target = self.lab.broker.create_topic(self.lab.name("bare"), partitions)
        run = self.lab.produce(target, size, records, partitions, bootstrap)
        self.lab.drop(target)
        return run

    def consume(self, topic, partitions):
        return self.lab.tool("limits", "consume", bootstrap=self.lab.broker.bootstrap, topic=topic,
                             partitions=partitions)

    # --- Throughput ----------------------------------------------------------------------------

    def warm_up(self):
        """The broker's JVM compiles what it runs often: let it, before anything counts."""
        note("warming up")
        topic = self.lab.fill(1024, self.records(1024), PARTITIONS)
        for _ in range(2 if self.scale >= 0.5 else 1):
            self.copy(topic)
            self.consume(topic, PARTITIONS)
        self.lab.drop(topic)

    def throughput(self):
        for size in self.sizes:
            self._throughput(size)

    def _throughput(self, size):
        records = self.records(size)
        note(f"{size_name(size)}: preparing {records} records, clear and sealed")
        clear = self.lab.fill(size, records, PARTITIONS)
        sealed = self.lab.seal(clear)

        def keep(variant, run):
            figures = self.keep("throughput", round_, variant, size, run)
            note(f"  {variant:20} {rate(figures['rate'])}/s, {figures['cpu']:.2f} CPU s/M, "
                 f"{megabytes(figures['rss'])}")

        for round_ in range(self.rounds):
            note(f"{size_name(size)}: round {round_ + 1} of {self.rounds}")
            keep("C", self.consume(clear, PARTITIONS))
            keep("P", self.produce(size, records, PARTITIONS))
            keep("pass-through", self.copy(clear))
            keep("pass-through, sealed", self.copy(sealed))
            for variant, transforms in TRANSFORMS.items():
                keep(variant, self.copy(sealed, transforms))
            self.crypto(size, round_)
        self.lab.drop(clear, sealed)

        variants = ["C", "P", "pass-through", "pass-through, sealed", *TRANSFORMS]
        self.print_runs(f"Throughput at {size_name(size)}", "throughput", variants, size)
        seal, open_, verify = (self.figures("crypto", "aes-256-gcm", size, operation)
                               for operation in ("seal", "open", "verify"))
        print(f"\nCrypto alone, AES-256-GCM and key tag: seal {seal.median:.0f} ns, "
              f"open {open_.median:.0f} ns, verify {verify.median:.0f} ns a record.")
        self._throughput_bars(size, seal, open_, verify)
        if size == 1024:
            for variant in ("pass-through", *TRANSFORMS):
                self.memory[variant] = self.figures("throughput", variant, size, "rss")

    def _throughput_bars(self, size, seal, open_, verify):
        def cpu_of(variant):
            return self.figures("throughput", variant, size, "cpu")

        at, per_million = size_name(size), 1e-3  # ns a record -> s a million
        through = cpu_of("pass-through, sealed")
        floor = cpu_of("C").plus(cpu_of("P"))
        self.bars.at_most(f"{at}: pass-through CPU / (C + P)",
                          cpu_of("pass-through").over(floor), 0.70)
        self.bars.at_least(f"{at}: pass-through rate / P",
                           self.figures("throughput", "pass-through", size, "rate").over(
                               self.figures("throughput", "P", size, "rate")), 0.75)
        self.bars.at_most(f"{at}: rewrap (verify: first) CPU / pass-through of the same",
                          cpu_of("rewrap first").over(through), 1.1)
        self.bars.at_most(f"{at}: rewrap (verify: all) CPU / (pass-through + verify alone)",
                          cpu_of("rewrap all").over(through.plus(verify, per_million)), 1.1)
        crypto = seal.plus(open_)
        self.bars.at_most(f"{at}: re-encrypt CPU / (pass-through + open and seal alone)",
                          cpu_of("re-encrypt").over(through.plus(crypto, per_million)), 1.3)

    def crypto(self, size, round_):
        found = self.lab.tool("crypto", size=size, millis=100)
        for suite in ("aes-256-gcm", "chacha20-poly1305"):
            self.keep("crypto", round_, suite, size, found[suite])

    def print_runs(self, title, section, variants, size):
        def of(variant, name):
            return self.figures(section, variant, size, name)

        def broker_cpu(variant):
            return cpu(of(variant, "broker_cpu").median) if variant != "C" else ""

        print(f"\n### {title}\n")
        print(table(["", "records/s", "CPU s/M", "over the rounds", "broker CPU s/M",
                     "whole run CPU s/M", "peak memory"],
                    [[v, rate(of(v, "rate").median), cpu(of(v, "cpu").median),
                      of(v, "cpu").spread(), broker_cpu(v), cpu(of(v, "whole_cpu").median),
                      megabytes(of(v, "rss").worst)] for v in variants]), flush=True)

    def wide(self):
        """More partitions than shards: four requests in flight instead of one."""
        size, partitions = 1024, 16
        records = self.records(size)
        topic = self.lab.fill(size, records, partitions)
        for round_ in range(self.rounds):
            note(f"{partitions} partitions: round {round_ + 1} of {self.rounds}")
            self.keep("wide", round_, "C", size, self.consume(topic, partitions))
            self.keep("wide", round_, "P", size, self.produce(size, records, partitions))
            self.keep("wide", round_, "pass-through", size, self.copy(topic))
        self.lab.drop(topic)
        self.print_runs(f"{partitions} partitions, {size_name(size)}", "wide",
                        ["C", "P", "pass-through"], size)

        def figures(variant, name):
            return self.figures("wide", variant, size, name)

        self.bars.at_most(
            f"{partitions} partitions: pass-through CPU / (C + P)",
            figures("pass-through", "cpu").over(figures("C", "cpu").plus(figures("P", "cpu"))),
            0.70)
        self.bars.at_least(f"{partitions} partitions: pass-through rate / P",
                           figures("pass-through", "rate").over(figures("P", "rate")), 0.75)

    def transactions(self):
        """Exactly-once against at-least-once."""
        size = 1024
        records = 2 * self.records(size)
        topic = self.lab.fill(size, records, PARTITIONS)
        variants = {"at least once": {}}
        for interval in (100, 500):
            variants[f"exactly once, {interval} ms"] = {
                "delivery": "exactly-once", "commit_interval": f"{interval}ms"}
        for round_ in range(self.rounds):
            note(f"transactions: round {round_ + 1} of {self.rounds}")
            for variant, settings in variants.items():
                to = self.lab.name("copy")
                run = self.keep("transactions", round_, variant, size,
                                self.lab.copy(topic, to, **settings))
                if settings:
                    self.raw[-1]["stalls"] = run["inside"].pop("stalls")
                self.lab.drop(to)
        self.lab.drop(topic)
        self.print_runs(f"Exactly once, {size_name(size)}", "transactions", list(variants), size)
        plain, *exact = variants
        rows = []
        for variant in exact:
            def ratio(name, variant=variant):
                return self.figures("transactions", variant, size, name).over(
                    self.figures("transactions", plain, size, name))

            self.bars.at_most(f"{variant}: CPU / at least once", ratio("cpu"), 1.1)
            self.bars.at_least(f"{variant}: rate / at least once", ratio("rate"),
                               0.8 if " 100 " in variant else 0.9)
            achieved = [records / r["whole_rate"] * 1000 * len(r["inside"]["commits"])
                        / sum(r["inside"]["commits"]) for r in self.raw
                        if r["section"] == "transactions" and r["variant"] == variant]
            stalls = [Figures([r["stalls"][name] for r in self.raw if r["section"] ==
                               "transactions" and r["variant"] == variant]).median
                      for name in ("stall_p50_ms", "stall_p99_ms")]
            rows.append([variant, f"{Figures(achieved).median:.0f} ms",
                         *[f"{stall:.0f} ms" for stall in stalls]])
        print("\n" + table(["", "commit interval achieved, start and end of the run included",
                            "commit stall p50", "p99"], rows), flush=True)

    # --- Recovery ------------------------------------------------------------------------------

    def recovery(self):
        """From kill -9 to the moment when every partition shows what was sent after it."""
        kills = max(int(KILLS * min(self.scale, 1)), 2)
        rows = []
        for delivery in ("at-least-once", "exactly-once"):
            note(f"recovery, {delivery}: the only instance, {kills} times")
            rows.append([delivery, "the only instance, started again at once",
                         *self._recovery_row(self._kill_the_only_one(delivery, kills))])
            note(f"recovery, {delivery}: one of two, {kills} times")
            rows.append([delivery, f"one of two, session-timeout {SESSION} s",
                         *self._recovery_row(self._kill_one_of_two(delivery, kills))])
        print("\n### Recovery after kill -9, seconds\n")
        print(table(["delivery", "killed", "p50", "max", "kills"], rows), flush=True)

    @staticmethod
    def _recovery_row(seconds):
        return [f"{Figures(seconds).median:.2f}", f"{Figures(seconds).worst:.2f}", len(seconds)]

    def _traffic(self):
        source = self.lab.broker.create_topic(self.lab.name("steady"), PARTITIONS)
        target = self.lab.broker.create_topic(self.lab.name("copy"), PARTITIONS)
        return source, target, recovery.Traffic(self.lab.broker, source, target, PARTITIONS)

    def _kill_the_only_one(self, delivery, kills):
        source, target, traffic = self._traffic()
        folder = self.lab.configure(source, target, daemon={"instance": "only"}, delivery=delivery)
        bridge, found = self.lab.start_bridge(folder), []
        try:
            for _ in range(kills):
                moment = recovery.kill(traffic, bridge)
                bridge = self.lab.start_bridge(folder)
                found.append(traffic.wait_past(moment))
        finally:
            bridge.terminate()
            bridge.wait(45)
            traffic.close()
        self.lab.drop(source, target)
        return found

    def _kill_one_of_two(self, delivery, kills):
        source, target, traffic = self._traffic()
        folders = [self.lab.configure(source, target, name="two", delivery=delivery,
                                      session_timeout=f"{SESSION}s") for _ in range(2)]
        bridges, found = [self.lab.start_bridge(folder) for folder in folders], []
        try:
            for number in range(kills):
                self.lab.wait_shared(folders)
                moment = recovery.kill(traffic, bridges[number % 2])
                found.append(traffic.wait_past(moment))
                bridges[number % 2] = self.lab.start_bridge(folders[number % 2])
        finally:
            for bridge in bridges:
                bridge.terminate()
                bridge.wait(45)
            traffic.close()
        self.lab.drop(source, target)
        return found

    # --- Latency -------------------------------------------------------------------------------

    def latency(self):
        for round_ in range(self.rounds):
            for variant, settings in LATENCY_VARIANTS.items():
                note(f"latency, {variant}: round {round_ + 1} of {self.rounds}")
                self.keep("latency", round_, variant, 1024, self._latency(settings))
        rows = []
        for variant in LATENCY_VARIANTS:
            for reader in ("direct", "bridged", "added"):
                found = [r[reader] for r in self.raw
                         if (r["section"], r["variant"]) == ("latency", variant)]
                rows.append([variant, reader, *[f"{Figures([f[q] for f in found]).median:.2f}"
                                                for q in ("p50", "p90", "p99", "p999", "max")]])
        print(f"\n### Latency at {LATENCY_RATE:,} records/s of 1 KiB, ms\n")
        print(table(["", "", "p50", "p90", "p99", "p99.9", "max"], rows), flush=True)
        self.bars.below("added latency at 10,000 records/s, p99, ms", Figures(
            [r["added"]["p99"] for r in self.raw
             if (r["section"], r["variant"]) == ("latency", "at least once")]), 10)

    def _latency(self, settings):
        broker = self.lab.broker
        source = broker.create_topic(self.lab.name("paced"), PARTITIONS)
        target = broker.create_topic(self.lab.name("copy"), PARTITIONS)
        folder = self.lab.configure(source, target, **settings)
        bridge = self.lab.start_bridge(folder)
        records = LATENCY_RATE * LATENCY_SECONDS
        probe = self.lab.start_tool(
            "probe", bootstrap=broker.bootstrap, source=source, target=target,
            partitions=PARTITIONS, records=records, skip=records // 5)
        try:
            time.sleep(3)  # all three are connected and idle
            load = self.lab.tool("load", bootstrap=broker.bootstrap, topic=source,
                                 partitions=PARTITIONS, rate=LATENCY_RATE,
                                 seconds=LATENCY_SECONDS, size=1024)
            found = self.lab.result(probe, 60)
        finally:
            probe.kill()
            bridge.terminate()
            bridge.wait(45)
        self.lab.drop(source, target)
        if load["rate"] < LATENCY_RATE * 0.99:
            note(f"  the load was only {load['rate']:.0f} records/s")
        return {**found, "load": load["rate"]}

    # --- Memory --------------------------------------------------------------------------------

    def memory_use(self):
        """The target takes a tenth of what the source has to give, for a while."""
        if self.lab.toxiproxy is None:
            print("\nNo Toxiproxy here: memory with a slow target was not measured.")
            return
        size, records = 1024, max(self.records(1024), 600_000)
        note("memory with a slow target")
        clear = self.lab.fill(size, records, PARTITIONS)
        sealed = self.lab.seal(clear)
        toxic = self.lab.toxiproxy.toxic("kafka", "bandwidth", "upstream", rate=SLOW_KB_PER_S)
        try:
            for variant, topic, transforms in [
                    ("pass-through", clear, ()),
                    ("re-encrypt", sealed, TRANSFORMS["re-encrypt"])]:
                run = self._slow(topic, transforms)
                self.keep("memory", 0, variant, size, run)
                self.memory[f"{variant}, slow target"] = Figures([run.rss])
        finally:
            self.lab.toxiproxy.heal("kafka", toxic)
        self.lab.drop(clear, sealed)

    def _slow(self, topic, transforms):
        target = self.lab.name("copy")
        folder = self.lab.configure(topic, target, transforms, self.lab.broker.toxi_bootstrap)
        stop_at = time.monotonic() + SLOW_SECONDS
        run = sampling.watch(self.lab.start_bridge(folder),
                             self.lab.bytes_of(target, PARTITIONS), 1_000_000,
                             until=lambda: time.monotonic() > stop_at)
        if run.status != 0:
            raise RuntimeError(f"the bridge ended with {run.status}: {folder / 'bridge.log'}")
        copied = self.lab.broker.count(target)
        note(f"  {copied} records within {SLOW_SECONDS} s, peak {megabytes(run.rss)}")
        if copied == 0 or copied == self.lab.broker.count(topic):
            raise RuntimeError(f"{copied} records copied: the target was not slow, or stuck")
        self.lab.drop(target)
        return run

    def memory_bars(self):
        for variant, peaks in self.memory.items():
            self.bars.at_most(f"1 KiB: peak memory, {variant}, MB",
                              Figures([v / 1e6 for v in peaks.values]), MEMORY_LIMIT / 1e6,
                              value=peaks.worst / 1e6, form="{:.0f}")

    # --- Distance ------------------------------------------------------------------------------

    def distance(self):
        if self.lab.toxiproxy is None:
            print("\nNo Toxiproxy here: the long round trip was not measured.")
            return
        for partitions in (PARTITIONS, 16):
            self._distance(partitions)

    def _distance(self, partitions):
        size, bootstrap = 1024, self.lab.broker.toxi_bootstrap
        records = int(self.records(size) * 0.5)
        topic = self.lab.fill(size, records, partitions)
        section = f"distance {partitions}"
        toxics = [self.lab.toxiproxy.toxic("kafka", "latency", stream, latency=DISTANCE_MS)
                  for stream in ("upstream", "downstream")]
        try:
            for round_ in range(self.rounds):
                note(f"50 ms, {partitions} partitions: round {round_ + 1} of {self.rounds}")
                self.keep(section, round_, "P", size,
                          self.produce(size, records, partitions, bootstrap))
                self.keep(section, round_, "pass-through", size,
                          self.copy(topic, bootstrap=bootstrap))
        finally:
            for toxic in toxics:
                self.lab.toxiproxy.heal("kafka", toxic)
        self.lab.drop(topic)
        self.print_runs(f"Target at a round trip of {2 * DISTANCE_MS} ms, {partitions} partitions, "
                        f"{size_name(size)}", section, ["P", "pass-through"], size)
        self.bars.at_least(
            f"50 ms, {partitions} partitions: pass-through rate / P",
            self.figures(section, "pass-through", size, "rate").over(
                self.figures(section, "P", size, "rate")), 0.9)

    # --- All of it -----------------------------------------------------------------------------

    def crypto_table(self):
        rows = []
        for suite in ("aes-256-gcm", "chacha20-poly1305"):
            for size in self.sizes:
                found = [self.figures("crypto", suite, size, name).median
                         for name in ("seal", "open", "verify")]
                rows.append([suite, size_name(size), *[f"{ns:.0f}" for ns in found]])
        print("\n### Crypto alone, ns of CPU a record\n")
        print(table(["suite", "value", "seal", "open", "verify"], rows), flush=True)

    def run(self, sections):
        print(describe(self.lab, self), flush=True)
        if sections != ["memory"]:
            self.warm_up()
        for section in sections:
            {"throughput": self.throughput, "wide": self.wide,
             "transactions": self.transactions, "recovery": self.recovery, "latency": self.latency,
             "memory": self.memory_use, "distance": self.distance}[section]()
        if "throughput" in sections:
            self.crypto_table()
        self.memory_bars()
        print("\n### Bars\n")
        print(self.bars.table())
        print(f"\n{len(self.bars.rows) - self.bars.missed} of {len(self.bars.rows)} bars hold.")


def describe(lab, bench):
    """The machine and what ran on it."""
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = subprocess.run([lab.binary, "version"], capture_output=True, text=True, check=False)
    commit = subprocess.run(["git", "-C", str(CHECKOUT), "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True, check=False).stdout.strip()
    load = os.getloadavg()[0]
    busy = "" if load < 0.5 * os.cpu_count() else " (BUSY: these figures do not count)"
    return "\n".join([
        "# Bench", "",
        f"- {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, commit {commit or 'unknown'}",
        f"- {os.cpu_count()} x {model}, {memory:.0f} GiB, Linux {platform.release()}; load at the "
        f"start {load:.1f}{busy}",
        f"- {' '.join(version.stdout.split()) or 'drawbridge'}",
        f"- Kafka {lab.broker.version}, one broker for source and target, its data on a "
        f"{lab.data_disk}, on the same cores as the client",
        f"- {bench.rounds} rounds, {PARTITIONS} partitions, {SHARDS} shards and as many bare "
        f"producers; medians",
    ])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS], default=[],
                        help=f"what to measure, all if none is named: {', '.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true",
                        help="one round of a tenth of the records: does it run, not how fast")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("BENCH_ROUNDS", "5")))
    parser.add_argument("--scale", type=float, default=float(os.environ.get("BENCH_SCALE", "1")),
                        help="times as many records")
    parser.add_argument("--sizes", type=int, nargs="+", default=[
        int(s) for s in os.environ.get("BENCH_SIZES", "100 1024 10240").split()])
    parser.add_argument("--raw", type=pathlib.Path,
                        help="file for every run's figures, as JSON")
    options = parser.parse_args()
    if options.quick or os.environ.get("BENCH_QUICK"):
        options.rounds, options.scale = 1, options.scale * 0.1
    if memory_disk() is None:
        note("no memory disk with 8 GiB free: the broker's data go to a disk, and count it in")
    sections = [s for s in SECTIONS if s in options.sections or not options.sections]
    with Lab() as lab:
        bench = Bench(lab, options)
        try:
            bench.run(sections)
        finally:
            if options.raw:
                options.raw.write_text(json.dumps(bench.raw, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
