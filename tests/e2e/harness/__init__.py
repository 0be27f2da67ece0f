"""Real brokers, foreign clients and the bridge itself, for end-to-end tests.

Broker      one KRaft node of a given Kafka version, with its topics, records and segment files
Cluster     several nodes that replicate, each of which can be killed, frozen or cut off
Toxiproxy   a slow or broken road to a broker
Bridge      the drawbridge program with a configuration
Keyring     a key domain's file; seals and opens records without the bridge
RawProducer records that no ordinary client would send
"""

from .bridge import Bridge, Finished
from .broker import Broker
from .config import cluster, configuration, pipeline
from .keyring import Keyring
from .nodes import Cluster
from .raw import RawProducer
from .records import Record
from .toxiproxy import Toxiproxy
from .waiting import wait_until

__all__ = ["Bridge", "Broker", "Cluster", "Finished", "Keyring", "RawProducer", "Record", "Toxiproxy",
           "cluster", "configuration", "pipeline", "wait_until"]
