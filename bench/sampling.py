"""Watches a process from outside: CPU from /proc, progress from the growth of the target's log."""

import dataclasses
import os
import time

INTERVAL = 0.02
TICK = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Run:
    """What a process did. Rates in records/s, CPU in seconds per million records."""

    status: int
    rate: float        # between the first tenth of the records and the last
    cpu: float         # the same stretch
    broker_cpu: float  # the broker's, the same stretch
    window: float      # its length, s
    whole_rate: float  # from start to end, connecting and leaving included
    whole_cpu: float
    rss: int           # peak, bytes
    inside: dict | None = None  # what the process said of itself


def cpu_of(pid):
    """User and system seconds of a process, its ended threads included."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def watch(process, size, records, broker_pid=None, until=None):
    """Samples a child until it ends (it must end by itself, unless until() says when to stop it).

    size: a function, bytes in the target's log now. All records are taken to weigh the same.
    """
    begin = time.monotonic()
    samples = []  # (time, cpu, broker's cpu, bytes)
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        try:
            cpu = cpu_of(process.pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        samples.append((time.monotonic(), cpu, cpu_of(broker_pid) if broker_pid else 0.0, size()))
        if until and until():
            process.terminate()
            until = None
        time.sleep(INTERVAL)
    process.returncode = os.waitstatus_to_exitcode(status)
    elapsed = time.monotonic() - begin
    whole_cpu = usage.ru_utime + usage.ru_stime
    final = max(size(), 1)
    from_ = next((s for s in samples if s[3] >= final * 0.1), None)
    to = next((s for s in samples if s[3] >= final * 0.9), None)
    if from_ is None or to is None or to[3] <= from_[3]:
        rate = cpu = broker_cpu = window = float("nan")
    else:
        done = records * (to[3] - from_[3]) / final
        window = to[0] - from_[0]
        rate = done / window
        cpu = (to[1] - from_[1]) / done * 1e6
        broker_cpu = (to[2] - from_[2]) / done * 1e6
    return Run(process.returncode, rate, cpu, broker_cpu, window, records / elapsed,
               whole_cpu / records * 1e6, usage.ru_maxrss * 1024)
