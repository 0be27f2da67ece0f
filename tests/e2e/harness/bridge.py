"""The drawbridge program, run with a configuration of a test's own."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess

import yaml

from . import parts
from .waiting import wait_until


@dataclasses.dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def text(self):
        return self.out + self.err


class Bridge:
    """One configuration in a folder of its own, with the daemon that runs it.

    config: YAML text, or a dictionary that becomes YAML.
    Logs of successive runs are appended to one file; wait_for looks at the current run's part.
    """

    def __init__(self, config, folder, environment=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "bridge.yaml"
        self.log = self.folder / "bridge.log"
        self._environment = {**os.environ, **(environment or {})}
        self._process = None
        self._started_at = 0
        self.configure(config)

    def configure(self, config):
        text = config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False)
        self.config.write_text(text, encoding="utf-8")

    # --- Commands that end by themselves --------------------------------------------------------

    def command(self, *arguments, timeout=60, environment=None):
        """Runs `drawbridge ARGUMENTS`, and returns what came of it."""
        done = subprocess.run(
            [parts.binary(), *map(str, arguments)], cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=timeout, check=False,
            env={**self._environment, **(environment or {})})
        return Finished(done.returncode, done.stdout.decode(errors="replace"),
                        done.stderr.decode(errors="replace"))

    def with_config(self, command, *arguments, **options):
        """Runs `drawbridge COMMAND -c CONFIG ARGUMENTS`; COMMAND may be two words."""
        return self.command(*command.split(), "-c", self.config, *arguments, **options)

    def until_caught_up(self, *arguments, timeout=90, expect=0):
        """Copies what is there now and leaves; the exit status is checked unless `expect` is None."""
        done = self.with_config("run", "--until-caught-up", *arguments, timeout=timeout)
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(done.text)
        if expect is not None and done.status != expect:
            raise AssertionError(f"exit status {done.status}, not {expect}:\n{done.text[-4000:]}")
        return done

    # --- The daemon -----------------------------------------------------------------------------

    def start(self, *arguments):
        if self.running:
            raise RuntimeError("already running")
        self._started_at = self.log.stat().st_size if self.log.exists() else 0
        self._process = parts.spawn(
            [parts.binary(), "run", "-c", str(self.config), *arguments], self.log,
            cwd=self.folder, env=self._environment)
        return self

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self):
        return self._process.pid

    def log_text(self):
        """What the current run has written."""
        if not self.log.exists():
            return ""
        with open(self.log, "rb") as log:
            log.seek(self._started_at)
            return log.read().decode(errors="replace")

    def events(self, name=None):
        """Log lines in JSON, those of one event name if given."""
        found = []
        for line in self.log_text().splitlines():
            if line.startswith("{"):
                try:
                    found.append(json.loads(line))
                except json.JSONDecodeError:
                    pass  # a line cut by kill -9
        return [e for e in found if name is None or e.get("event") == name]

    def wait_for(self, text, timeout=30):
        """Waits until `text` stands in the log of the current run."""
        def seen():
            if text in self.log_text():
                return True
            if not self.running:
                raise AssertionError(f"ended with {self._process.returncode} before '{text}':\n"
                                     f"{self.log_text()[-4000:]}")
            return False

        try:
            wait_until(seen, timeout, f"'{text}' in the log")
        except TimeoutError as late:
            raise AssertionError(f"{late}:\n{self.log_text()[-4000:]}") from None

    def wait_exit(self, timeout=30):
        """The exit status of a daemon that ends by itself."""
        return self._process.wait(timeout)

    def terminate(self, timeout=45):
        """SIGTERM: drains, checkpoints, ends. Returns the exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        """kill -9. Does nothing when it is not running."""
        if self.running:
            self._process.kill()
        if self._process is not None:
            self._process.wait()
