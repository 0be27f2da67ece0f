"""Where tests/parts/install.sh put things, free ports, and child processes that die with the tests."""

import ctypes
import functools
import glob
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]


@functools.cache
def cache():
    named = os.environ.get("DRAWBRIDGE_TEST_CACHE")
    if named:
        return pathlib.Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "drawbridge-tests"


@functools.cache
def versions():
    """The settings of tests/parts/versions.env."""
    lines = (CHECKOUT / "tests/parts/versions.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@functools.cache
def java():
    """Java 17 where there is one, since the machine's default may be too old or too new."""
    found = glob.glob("/usr/lib/jvm/java-17-openjdk-*/bin/java") or [shutil.which("java")]
    if not found[0]:
        raise RuntimeError("no Java: run sh tests/parts/install.sh")
    return found[0]


def class_path(version):
    folder = cache() / f"kafka-{version}"
    if not (folder / ".complete").exists():
        raise RuntimeError(f"{folder} is missing: run sh tests/parts/install.sh")
    return f"{folder}/*"


def binary():
    """The program under test."""
    named = os.environ.get("DRAWBRIDGE_BINARY")
    path = pathlib.Path(named) if named else CHECKOUT / "build/release/bin/drawbridge"
    if not path.exists():
        raise RuntimeError(f"{path} is missing: build it, or set DRAWBRIDGE_BINARY")
    return str(path)


_taken = set()


def free_port():
    """A port nobody listens on, below the range that outgoing connections use.

    DRAWBRIDGE_TEST_PORTS=LOW-HIGH narrows the choice where several runs share a machine.
    """
    low, high = map(int, os.environ.get("DRAWBRIDGE_TEST_PORTS", "20000-31999").split("-"))
    for _ in range(1000):
        port = random.randint(low, high)
        if port in _taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return port
    raise RuntimeError(f"no free port between {low} and {high}")


_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def spawn(command, log, **options):
    """Starts a child that is killed when this process dies, its output appended to `log`."""
    with open(log, "ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent, **options,
        )
