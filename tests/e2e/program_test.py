"""The program from outside: the demo, quickstart's second half, examples, systemd's protocol."""

import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
import yaml

from harness import Keyring, cluster, configuration, parts, pipeline, wait_until

EXAMPLES = sorted((parts.CHECKOUT / "config/examples").glob("*.yaml"))
ANSI = re.compile(r"\x1b\[")


def demo_says(text):
    """What a newcomer must get to see, wherever it stands."""
    lower = text.lower()
    for word in ("rewrap", "re-encrypt", "revo", "resum", "lost"):
        assert word in lower, f"the demo says nothing of '{word}':\n{text[-3000:]}"


def test_demo_is_plain_in_a_pipe(bridge, tmp_path):
    began = time.monotonic()
    done = subprocess.run([parts.binary(), "demo"], cwd=tmp_path, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 60
    assert not ANSI.search(done.stdout)
    demo_says(done.stdout)
    assert list(tmp_path.iterdir()) == []  # leaves nothing behind


def test_demo_has_colour_on_a_terminal(tmp_path):
    controller, terminal = pty.openpty()
    process = subprocess.Popen([parts.binary(), "demo"], cwd=tmp_path, stdin=terminal,
                               stdout=terminal, stderr=terminal,
                               env=os.environ | {"TERM": "xterm-256color"})
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(controller, 65_536):
            shown += chunk
    except OSError:
        pass  # the other end is closed: Linux says so with EIO
    os.close(controller)
    assert process.wait(60) == 0
    text = shown.decode(errors="replace")
    assert ANSI.search(text)
    demo_says(ANSI.sub("", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)))


def test_quickstarts_second_half():
    """Builds and shows the demo, in the folder that it would use."""
    if "DRAWBRIDGE_BINARY" in os.environ and pathlib.Path(os.environ["DRAWBRIDGE_BINARY"]) != (
            parts.CHECKOUT / "build/release/bin/drawbridge"):
        pytest.skip("another build is under test")
    done = subprocess.run(["sh", "config/quickstart.sh", "demo"], cwd=parts.CHECKOUT,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    demo_says(done.stdout)


def test_every_command_has_help(bridge, tmp_path):
    for command in ("", "run", "lint", "echo", "check", "list", "demo", "inspect", "offsets", "keys",
                    "version"):
        done = subprocess.run([parts.binary(), *command.split(), "--help"], capture_output=True,
                              text=True, timeout=20, check=False)
        assert done.returncode == 0 and "sage" in done.stdout, command
    wrong = subprocess.run([parts.binary(), "rum"], capture_output=True, text=True, timeout=20,
                           check=False)
    assert wrong.returncode == 2 and "run" in wrong.stderr


# --- Examples ------------------------------------------------------------------------------------


def localised(text, source, target, folder):
    """An example with its outer world replaced: brokers, certificates, passwords, key files."""
    config = yaml.safe_load(text)
    used = {name: source if "source.example" in settings["bootstrap.servers"] else target
            for name, settings in config["clusters"].items()}
    config["clusters"] = {name: cluster(broker) for name, broker in used.items()}
    config["daemon"] = {**config.get("daemon", {}), "state-directory": "state",
                        "log": {"format": "json"}}
    rings = {}
    for name, options in config.get("key_domains", {}).items():
        rings[name] = Keyring(folder / f"{name}.keyring", name, options["keyring"]["key"])
        config["key_domains"][name] = rings[name].options()
    return config, used, rings


def topic_for(entry, suffix):
    """A topic that an entry of `topics` selects, and this run's alone where it is an expression."""
    if not entry.startswith("^"):
        return entry
    plain = entry[1:].replace("[.]", ".").replace(r"\.", ".")
    name = re.sub(r"\.[*+]|\[[^]]*\][*+]?|\([^)]*\)", suffix, plain).rstrip("$")
    assert re.fullmatch(entry[1:], name), f"cannot think of a topic for {entry}"
    return name


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_clean_and_runs(example, source, target, bridge, unique, tmp_path):
    text = example.read_text(encoding="utf-8")
    made = bridge(text)
    linted = made.command("lint", "-c", example, "--elsewhere")
    assert linted.status == 0, linted.text
    # Nothing is wrong with it but what this machine lacks.
    here = made.command("lint", "-c", example).err.splitlines()
    assert all("the file `/etc/drawbridge/" in line for line in here if "warning" not in line), here

    config, used, rings = localised(text, source, target, tmp_path)
    suffix = unique("x")[-6:]
    expected = {}
    for name, settings in config["pipelines"].items():
        here, there = used[settings["from"]["cluster"]], used[settings["to"]["cluster"]]
        first = next((step for step in settings.get("transforms", [])), {})
        opens = first.get("decrypt", {}).get("domain") or first.get("rekey", {}).get("from")
        dataset = settings.get("dataset", name).encode()
        for entry in settings["from"]["topics"]:
            topic = topic_for(entry, suffix)
            # Other examples use these names, too, under keys of their own.
            if topic in here.topics():
                here.delete_topic(topic)
            here.create_topic(topic, partitions=2)
            rows = []
            for i in range(20):
                key, value, headers = b"k%d" % i, b'{"n":%d}' % i, []
                if opens:
                    fields = next(iter(first.values()))
                    tenant = fields["tenant"].encode() if "tenant" in fields else None
                    value, headers = rings[opens].seal(
                        value, fields.get("dataset", dataset.decode()).encode(), key, tenant)
                rows.append((1_700_000_000_000 + i, key, value, headers))
            with here.raw() as producer:
                producer.send(topic, 0, rows)
            copy = settings["to"].get("topic", "{topic}").format(
                topic=topic, cluster=settings["from"]["cluster"], pipeline=name)
            if copy in there.topics():
                there.delete_topic(copy)
            if not settings["to"].get("create-topics"):
                there.create_topic(copy, partitions=2)
            expected[there, copy] = expected.get((there, copy), 0) + 20
        dead = settings.get("on-error")
        if isinstance(dead, dict):
            letter = dead["dead-letter"]
            where = used[letter.get("cluster", settings["to"]["cluster"])]
            if "{" not in letter["topic"] and letter["topic"] not in where.topics():
                where.create_topic(letter["topic"])
    made.configure(config)
    made.until_caught_up()
    for (there, copy), count in expected.items():
        # Offsets count the markers of transactions, too.
        there_now = (sum(map(len, there.read(copy).values())) if "exactly-once" in text
                     else there.count(copy))
        assert there_now == count, copy


# --- systemd ---------------------------------------------------------------------------------------


def test_notify_protocol(source, target, bridge, unique, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(0.2)
        said = []

        def heard(word):
            try:
                while True:
                    said.extend(listener.recv(65_536).decode().splitlines())
            except TimeoutError:
                pass
            return any(word in line for line in said)

        topic = source.create_topic(unique())
        source.produce(topic, [b"v"])
        made = bridge(configuration(source, target, {unique("p"): pipeline(topic)}), environment={
            "NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "2000000"})
        made.start()
        wait_until(lambda: heard("READY=1"), 30, "READY")
        wait_until(lambda: heard("STATUS="), 30, "STATUS")
        fed = said.count("WATCHDOG=1")
        wait_until(lambda: heard("WATCHDOG=1") and said.count("WATCHDOG=1") >= fed + 2, 20,
                   "the watchdog to be fed")
        made.signal(signal.SIGTERM)
        wait_until(lambda: heard("STOPPING=1"), 20, "STOPPING")
        assert made.wait_exit(40) == 0


# --- Lint ------------------------------------------------------------------------------------------


def test_lint_names_file_line_and_nearest_word(source, target, bridge, unique):
    config = configuration(source, target, {unique("p"): pipeline(unique())})
    made = bridge(config)
    assert made.with_config("lint").status == 0
    text = made.config.read_text()
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "topics:" in row)
    made.configure(text.replace("topics:", "topcis:").replace("refresh: 500ms", "refresh: soon"))
    done = made.with_config("lint")
    assert done.status == 1
    assert f"{made.config}:{line}:" in done.text and "`topics`" in done.text
    assert "refresh" in done.text  # all problems at once
    assert made.with_config("run").status == 1


def test_check_tells_what_is_missing(source, target, bridge, unique):
    topic = source.create_topic(unique())
    made = bridge(configuration(source, target, {unique("p"): pipeline(topic, create=False)}))
    done = made.with_config("check")
    assert done.status != 0 and topic in done.text and "create-topics" in done.text
    target.create_topic(topic)
    assert made.with_config("check").status == 0
    gone = configuration({"bootstrap.servers": f"127.0.0.1:{parts.free_port()}"}, target,
                         {unique("p"): pipeline(topic)})
    done = bridge(gone).with_config("check", timeout=90)
    assert done.status != 0 and "src" in done.text


def test_demo_needs_nothing_installed(tmp_path):
    """The program alone, in an empty environment and folder."""
    shutil.copy(parts.binary(), tmp_path / "drawbridge")
    done = subprocess.run(["./drawbridge", "demo"], cwd=tmp_path, env={"PATH": "/nowhere"},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
