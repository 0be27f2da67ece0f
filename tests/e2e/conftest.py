"""Fixtures: two clusters for the whole session, and for each test its own topics and folder."""

import hashlib
import itertools
import re

import pytest

from harness import Bridge, Broker, Toxiproxy


def _run_broker(version, name, **options):
    broker = Broker(version, name, **options)
    try:
        yield broker.start()
    finally:
        broker.remove()


@pytest.fixture(scope="session")
def source():
    """Kafka 3.9, where records come from. Shared: use topic names of your own."""
    yield from _run_broker("3.9", "source")


@pytest.fixture(scope="session")
def target():
    """Kafka 4.1, where records go to. Shared: use topic names of your own."""
    yield from _run_broker("4.1", "target")


@pytest.fixture(scope="session")
def secure():
    """Kafka 3.9 with TLS and SCRAM-SHA-512 beside its plain listener."""
    # Librdkafka before 2.6.1 cannot authenticate with SCRAM to Kafka 4.0 and later.
    yield from _run_broker("3.9", "secure", tls=True)


@pytest.fixture
def own_broker():
    """Makes brokers that a test may break: own_broker("4.1", ...)."""
    brokers = []

    def make(version="4.1", name="own", **options):
        broker = Broker(version, name, **options)
        brokers.append(broker)
        return broker.start()

    yield make
    for broker in brokers:
        broker.remove()


@pytest.fixture
def toxiproxy(tmp_path):
    if not Toxiproxy.available():
        pytest.skip("Toxiproxy could not be built on this machine")
    server = Toxiproxy(tmp_path)
    yield server
    server.close()


@pytest.fixture
def unique(request):
    """unique("orders") -> a name no other test uses, legal for a topic and a pipeline."""
    mark = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:6]
    test = re.sub(r"[^a-z0-9]+", "-", request.node.originalname.removeprefix("test_").lower())[:24]
    return lambda name="t": f"{name}-{test}-{mark}"


@pytest.fixture
def bridge(request, tmp_path):
    """Makes bridges: bridge(config). Killed after the test; their logs are shown if it failed."""
    bridges = []
    number = itertools.count()

    def make(config, **options):
        made = Bridge(config, tmp_path / f"bridge{next(number)}", **options)
        bridges.append(made)
        return made

    yield make
    for made in bridges:
        made.kill()
        if getattr(request.node, "failed", False) and made.log.exists():
            text = made.log.read_text(errors="replace")
            print(f"--- {made.config}\n{made.config.read_text()}--- log\n{text[-8000:]}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed:
        item.failed = True
    return report
