"""Toxiproxy: latency, bandwidth limits and cut connections between the bridge and a broker."""

import json
import urllib.request

from . import parts
from .waiting import wait_until


class Toxiproxy:
    """One server; add(listen, upstream) opens a road, toxics make it bad."""

    @staticmethod
    def available():
        return (parts.cache() / "toxiproxy/.complete").exists()

    def __init__(self, folder):
        self._port = parts.free_port()
        self._url = f"http://127.0.0.1:{self._port}"
        self._process = parts.spawn(
            [str(parts.cache() / "toxiproxy/server"), "-host", "127.0.0.1", "-port", str(self._port)],
            folder / "toxiproxy.log")
        wait_until(self._ready, 10, "Toxiproxy")

    def _ready(self):
        try:
            return self._call("GET", "/version")
        except OSError:
            return None

    def _call(self, method, path, body=None):
        request = urllib.request.Request(
            self._url + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "tests"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read() or b"{}"

    def add(self, name, listen_port, upstream_port):
        self._call("POST", "/proxies", {
            "name": name, "listen": f"127.0.0.1:{listen_port}",
            "upstream": f"127.0.0.1:{upstream_port}", "enabled": True})

    def toxic(self, proxy, kind, stream="downstream", **attributes):
        """Adds a toxic and returns its name. Bandwidth's `rate` is in KB/s, times are in ms."""
        name = f"{kind}_{stream}"
        self._call("POST", f"/proxies/{proxy}/toxics", {
            "name": name, "type": kind, "stream": stream, "toxicity": 1, "attributes": attributes})
        return name

    def heal(self, proxy, toxic):
        self._call("DELETE", f"/proxies/{proxy}/toxics/{toxic}")

    def enable(self, proxy, enabled):
        """False cuts every connection and refuses new ones."""
        self._call("POST", f"/proxies/{proxy}", {"enabled": enabled})

    def reset(self):
        self._call("POST", "/reset")

    def close(self):
        self._process.kill()
        self._process.wait()
