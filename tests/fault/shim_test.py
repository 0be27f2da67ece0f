"""What stands between the bridge and the C library does what the faults ask for."""

import errno
import os
import pathlib
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import shim  # noqa: E402

pytestmark = pytest.mark.skipif(shim.compiler() is None, reason="no C compiler here")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return shim.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def made(library, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/ring").write_text("key")
    (tmp_path / "elsewhere").write_text("")
    return shim.Shim(library, tmp_path, tmp_path / "state", tmp_path / "keys")


def child(made, folder, code):
    """What a process prints that sees the world through the shim."""
    done = subprocess.run([sys.executable, "-c", "import os, threading, time\n" + code], cwd=folder,
                          env={**os.environ, **made.environment}, capture_output=True, text=True,
                          check=True, timeout=60)
    return done.stdout.strip()


@pytest.mark.parametrize("offset", [0, 400 * 86_400, -86_400])
def test_the_clock_is_off_and_time_goes_on(made, tmp_path, offset):
    made.wish(clock_offset_ns=offset * 1_000_000_000)
    told = child(made, tmp_path, "a = time.monotonic(); print(time.time()); time.sleep(0.2)\n"
                                 "assert 0.1 < time.monotonic() - a < 5")
    assert abs(float(told) - offset - time.time()) < 10


def test_the_clock_steps_under_a_running_process(made, tmp_path):
    code = "a = time.time()\nwhile time.time() - a < 3600: time.sleep(0.01)\nprint('stepped')"
    process = subprocess.Popen([sys.executable, "-c", "import time\n" + code], cwd=tmp_path,
                               env={**os.environ, **made.environment}, stdout=subprocess.PIPE)
    time.sleep(0.5)
    made.wish(clock_offset_ns=3_700 * 1_000_000_000)
    assert process.communicate(timeout=30)[0].strip() == b"stepped"


WRITE = """
def write(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(fd, b'x', 0); os.writev(fd, [b'x']); os.fsync(fd); os.fdatasync(fd); return 0
    except OSError as error:
        return error.errno
    finally:
        os.close(fd)
print(write('state/data'), write('elsewhere'))
"""


def test_a_full_disk_is_full_under_the_state_directory_only(made, tmp_path):
    assert child(made, tmp_path, WRITE) == "0 0"
    assert made.hits == 0
    made.wish(state_errno=errno.ENOSPC)
    assert child(made, tmp_path, WRITE) == f"{errno.ENOSPC} 0"
    assert made.hits == 1
    made.wish(state_errno=0)
    assert child(made, tmp_path, WRITE) == "0 0"


def test_slow_writes_and_slow_keys(made, tmp_path):
    made.wish(state_delay_ms=200)
    began = time.monotonic()
    child(made, tmp_path, WRITE)
    assert time.monotonic() - began >= 0.8  # four calls
    made.wish(state_delay_ms=0, key_delay_ms=500)
    told = child(made, tmp_path, "a = time.monotonic(); open('elsewhere').close()\n"
                                 "b = time.monotonic(); open(os.path.abspath('keys/ring')).close()\n"
                                 "print(b - a < 0.3, time.monotonic() - b >= 0.5)")
    assert told == "True True"
