"""A cluster of several KRaft nodes, each a process that can be killed, frozen or cut off alone."""

import concurrent.futures

from . import parts
from .broker import Broker, new_cluster_id
from .clients import Clients

# A node that is gone is noticed within seconds, and so is a controller: Kafka's own defaults (9 to
# 30 s) would make most of a test's time waiting.
CLUSTER_PROPERTIES = {
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.election.backoff.max.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1500",
    "replica.lag.time.max.ms": "2500",
    "replica.socket.timeout.ms": "3000",
    "controlled.shutdown.max.retries": "1",
    # A topic that a test deletes stays deleted, whichever client still asks for it.
    "auto.create.topics.enable": "false",
}


class Cluster(Clients):
    """`count` nodes that replicate to each other (three copies, two must answer, where there are
    three); nodes[0] is node 1.

    toxi  every node is reached through a proxy of its own by those who start at toxi_bootstrap
    """

    def __init__(self, version, name, count=3, toxi=False, properties=None, heap_mb=256):
        self.name = name
        self.replication = count
        copies = str(count)
        voters = {number: parts.free_port() for number in range(1, count + 1)}
        cluster_id = new_cluster_id()
        settings = CLUSTER_PROPERTIES | {
            "default.replication.factor": copies,
            "min.insync.replicas": str(min(count, 2)),
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": str(min(count, 2)),
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": str(min(count, 2)),
        } | (properties or {})

        def make(number):
            return Broker(version, f"{name}-{number}", toxi=toxi, properties=settings,
                          heap_mb=heap_mb, node=number, voters=voters, cluster_id=cluster_id)

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            self.nodes = list(pool.map(make, voters))
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes)
        if toxi:
            self.toxi_bootstrap = ",".join(node.toxi_bootstrap for node in self.nodes)

    def start(self):
        # From this thread: a child dies with the thread that made it.
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            node.wait_ready()
        return self

    def leader(self, topic, partition):
        """The node that leads a partition, or None."""
        number = self.admin.list_topics(topic, timeout=10).topics[topic].partitions[partition].leader
        return next((node for node in self.nodes if node.node == number), None)

    def remove(self):
        for node in self.nodes:
            node.remove()
