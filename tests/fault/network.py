"""The bridge's road to each broker: Toxiproxy in front of every node, and packets that get lost.

Packets are dropped with iptables, in a network namespace of the laboratory's own only: see
isolate(). Both sides of a road are on the loopback interface there, and are told by the port.
"""

import os
import shutil
import subprocess
import sys

_MARK = "DRAWBRIDGE_FAULT_NAMESPACE"


def isolate():
    """Goes on in a network namespace of its own where the machine allows it; returns if it does."""
    if os.environ.get(_MARK):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # The C library resolves no IPv4 address where 127.0.0.1 is the only one there is.
        subprocess.run(["ip", "address", "add", "192.0.2.1/32", "dev", "lo"], check=True)
        return True
    tools = shutil.which("ip") and shutil.which("unshare")
    allowed = os.geteuid() == 0 and tools and subprocess.run(
        ["unshare", "--net", "ip", "link", "set", "lo", "up"], check=False,
        capture_output=True).returncode == 0
    if not allowed:
        return False
    os.environ[_MARK] = "1"
    os.execvp("unshare", ["unshare", "--net", "--", sys.executable, *sys.argv])


def can_drop_packets():
    """Only inside the namespace: the machine's own rules are nobody's to touch."""
    return bool(os.environ.get(_MARK)) and shutil.which("iptables") is not None and subprocess.run(
        ["iptables", "-L", "INPUT", "-n"], check=False, capture_output=True).returncode == 0


class Packets:
    """Rules on packets between the bridge and one proxy."""

    def __init__(self):
        self._rules = []

    def add(self, port, towards, *target):
        """towards: `broker` or `bridge`; target: what iptables takes after the match."""
        match = "--dport" if towards == "broker" else "--sport"
        rule = ["INPUT", "-p", "tcp", match, str(port), *target]
        subprocess.run(["iptables", "-A", *rule], check=True)
        self._rules.append(rule)

    def clear(self):
        for rule in self._rules:
            subprocess.run(["iptables", "-D", *rule], check=True)
        self._rules = []
