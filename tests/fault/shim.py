"""The wall clock, the disk and the key files that one bridge sees: shim.c, and its wishes."""

import mmap
import pathlib
import shutil
import struct
import subprocess

SOURCE = pathlib.Path(__file__).with_name("shim.c")
LAYOUT = struct.Struct("qiiii")  # struct wishes
FIELDS = ("clock_offset_ns", "state_errno", "state_delay_ms", "key_delay_ms", "hits")


def compiler():
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(folder):
    """Compiles the library into `folder`, and returns its path."""
    library = folder / "fault-shim.so"
    subprocess.run([compiler(), "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC",
                    "-shared", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


class Shim:
    """What one bridge is to see; nothing out of the ordinary until told."""

    def __init__(self, library, folder, state, keys):
        self._file = folder / "wishes"
        self._file.write_bytes(bytes(LAYOUT.size))
        with open(self._file, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), LAYOUT.size)
        self.environment = {
            "LD_PRELOAD": str(library), "FAULT_SHIM": str(self._file),
            "FAULT_SHIM_STATE": str(state), "FAULT_SHIM_KEYS": str(keys)}

    def _read(self):
        return dict(zip(FIELDS, LAYOUT.unpack(self._memory[:]), strict=True))

    @property
    def hits(self):
        """How many calls were interfered with so far."""
        return self._read()["hits"]

    def wish(self, **fields):
        self._memory[:] = LAYOUT.pack(*(self._read() | fields).values())
