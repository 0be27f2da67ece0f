"""The faults: each a small class that draws its parameters, breaks something, and mends it.

Between inject() and heal() the driver waits for `hold` seconds. Both may take their time.
"""

import errno
import shutil
import signal
import time

import kafka
import kafka.admin
from harness import wait_until

from network import Packets

FAULTS = {}


class Fault:
    """Base of all of them. Parameters are plain values, so that a plan can be printed and kept.

    repeats  the documentation allows records to arrive again after it, at least once
    killable a bridge may be killed while it lasts
    needs    names of capabilities, see world.capabilities()
    """

    name = ""
    repeats = False
    killable = False
    needs = ()
    hold = (0.3, 2.0)

    def __init__(self, **parameters):
        self.parameters = parameters
        self.__dict__.update(parameters)

    def __init_subclass__(cls):
        if cls.name:
            FAULTS[cls.name] = cls

    @classmethod
    def draw(cls, rng, shape):
        """Parameters of one occurrence. shape: the numbers of nodes and instances."""
        return {}

    def inject(self, world):
        raise NotImplementedError

    def heal(self, world):
        """What inject() broke is whole again when this returns."""


# ---- the bridge's process ----------------------------------------------------------------------


class OnInstance(Fault):
    @classmethod
    def draw(cls, rng, shape):
        return {"instance": rng.randrange(shape.instances)}

    def of(self, world):
        return world.instances[self.instance]


class BridgeKill(OnInstance):
    """kill -9, and a start some time later."""

    name, repeats = "bridge-kill", True

    def inject(self, world):
        self.of(world).kill()

    def heal(self, world):
        self.of(world).start()


class BridgeKillAtStart(OnInstance):
    """kill -9 again and again, each time a moment after the start."""

    name, repeats = "bridge-kill-at-start", True

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {
            "after": [round(rng.uniform(0.02, 0.8), 3) for _ in range(4)]}

    def inject(self, world):
        self.of(world).kill()
        for seconds in self.after:
            self.of(world).start()
            time.sleep(seconds)
            self.of(world).kill()

    def heal(self, world):
        self.of(world).start()


class BridgeTerminate(OnInstance):
    """SIGTERM, which falls into a commit as often as not: there are several a second."""

    name = "bridge-terminate"

    def inject(self, world):
        self.of(world).terminate()

    def heal(self, world):
        self.of(world).start()


class BridgePause(OnInstance):
    """SIGSTOP and SIGCONT within the timeouts."""

    name, hold = "bridge-pause", (0.5, 2.5)

    def inject(self, world):
        self.of(world).signal(signal.SIGSTOP)

    def heal(self, world):
        self.of(world).signal(signal.SIGCONT)


class BridgePauseLong(BridgePause):
    """SIGSTOP for longer than every timeout of client, broker and group, then SIGCONT.

    The group takes it for dead. With others, they have taken over when it wakes up.
    """

    name, repeats, hold = "bridge-pause-long", True, (9.0, 11.0)


class BridgeGone(OnInstance):
    """kill -9, and no start until the others have taken its part over."""

    name, repeats, needs, hold = "bridge-gone", True, ("several instances",), (0.0, 0.5)

    def inject(self, world):
        world.wait_caught_up(world.load.mark())
        self.handover = world.hand_over(self.of(world).kill)

    def heal(self, world):
        self.of(world).start()


class BridgeLeaves(BridgeGone):
    """SIGTERM, and no start until the others have taken its part over."""

    name, repeats = "bridge-leaves", False

    def inject(self, world):
        world.wait_caught_up(world.load.mark())
        self.handover = world.hand_over(self.of(world).terminate)


class BridgesAllButOne(OnInstance):
    """kill -9 of all but one."""

    name, repeats, needs, hold = "bridges-kill-but-one", True, ("three instances",), (0.0, 9.0)

    def _others(self, world):
        return [other for i, other in enumerate(world.instances) if i != self.instance]

    def inject(self, world):
        for other in self._others(world):
            other.kill()

    def heal(self, world):
        for other in self._others(world):
            other.start()


class BridgesAll(Fault):
    """kill -9 of all of them at once."""

    name, repeats, needs = "bridges-kill", True, ("several instances",)

    def inject(self, world):
        for instance in world.instances:
            instance.kill()

    def heal(self, world):
        for instance in world.instances:
            instance.start()


# ---- brokers -----------------------------------------------------------------------------------


class OnTarget(Fault):
    repeats = True
    killable = True

    @classmethod
    def draw(cls, rng, shape):
        return {"node": rng.randrange(shape.target_nodes)}

    def of(self, world):
        return world.target.nodes[self.node]


class TargetKill(OnTarget):
    """kill -9 of one node: leaders and coordinators move, then it comes back."""

    name, hold = "target-kill", (0.0, 4.0)

    def inject(self, world):
        self.of(world).kill()

    def heal(self, world):
        self.of(world).start()


class TargetShutdown(OnTarget):
    """A controlled shutdown hands leaders over first."""

    name, hold = "target-shutdown", (0.0, 1.0)

    def inject(self, world):
        self.of(world).stop()

    def heal(self, world):
        self.of(world).start()


class TargetSlow(OnTarget):
    """One node answers nothing for a while, but is not given up."""

    name, hold = "target-slow", (0.5, 2.0)

    def inject(self, world):
        self.of(world).freeze()

    def heal(self, world):
        self.of(world).freeze(False)


class TargetFrozen(TargetSlow):
    """One node answers nothing until the others have taken over, and then it answers late."""

    name, hold = "target-frozen", (4.0, 6.0)


class TargetQuorumLost(OnTarget):
    """Two of three nodes freeze: nothing can be acknowledged."""

    name, hold = "target-quorum-lost", (1.0, 4.0)

    def _frozen(self, world):
        return [node for i, node in enumerate(world.target.nodes) if i != self.node]

    def inject(self, world):
        for node in self._frozen(world):
            node.freeze()

    def heal(self, world):
        for node in self._frozen(world):
            node.freeze(False)


class TargetController(Fault):
    """kill -9 of the node that is the active controller."""

    name, repeats, hold = "target-controller-kill", True, (0.0, 3.0)
    killable = True

    def inject(self, world):
        admin = kafka.admin.KafkaAdminClient(bootstrap_servers=world.target.bootstrap.split(","))
        quorum = admin.describe_metadata_quorum()
        admin.close()
        leader = quorum["topics"][0]["partitions"][0]["leader_id"]
        self._killed = world.target.nodes[leader - 1]
        self._killed.kill()

    def heal(self, world):
        self._killed.start()


class TargetLeaders(Fault):
    """Every partition of the target gets another leader, though no node is in trouble."""

    name, repeats, hold = "target-leaders", True, (0.0, 0.5)
    killable = True

    @classmethod
    def draw(cls, rng, shape):
        return {"shift": rng.randrange(1, shape.target_nodes)}

    def inject(self, world):
        world.move_leaders(self.shift)


class TransactionCoordinator(Fault):
    """kill -9 of the node that coordinates a shard's transactions."""

    name, repeats, hold, needs = "transaction-coordinator-kill", True, (0.0, 3.0), ("exactly-once",)

    @classmethod
    def draw(cls, rng, shape):
        return {"shard": rng.randrange(shape.shards)}

    def inject(self, world):
        self._killed = world.coordinator(world.target, "__transaction_state",
                                         world.transactional_id(self.shard))
        self._killed.kill()

    def heal(self, world):
        self._killed.start()


class OnSource(Fault):
    killable = True
    @classmethod
    def draw(cls, rng, shape):
        return {"node": rng.randrange(shape.source_nodes)}

    def of(self, world):
        return world.source.nodes[self.node]


class SourceKill(OnSource):
    """kill -9 of a source node; with one node, of the group's coordinator too."""

    name, hold = "source-kill", (0.0, 2.0)

    def inject(self, world):
        self.of(world).kill()

    def heal(self, world):
        self.of(world).start()


class SourceShutdown(OnSource):
    """A controlled shutdown."""

    name, hold = "source-shutdown", (0.0, 1.0)

    def inject(self, world):
        self.of(world).stop()

    def heal(self, world):
        self.of(world).start()


class SourceFrozen(OnSource):
    """It answers nothing, and then late."""

    name, hold = "source-frozen", (1.0, 5.0)

    def inject(self, world):
        self.of(world).freeze()

    def heal(self, world):
        self.of(world).freeze(False)


class GroupCoordinator(Fault):
    """kill -9 of the node that keeps the group's offsets."""

    name, hold, needs = "group-coordinator-kill", (0.0, 3.0), ("three source nodes",)

    @classmethod
    def draw(cls, rng, shape):
        return {"pipeline": rng.choice(shape.pipelines)}

    def inject(self, world):
        self._killed = world.coordinator(world.source, "__consumer_offsets",
                                         f"drawbridge-{self.pipeline}")
        self._killed.kill()

    def heal(self, world):
        self._killed.start()


# ---- the network -------------------------------------------------------------------------------


class OnRoad(Fault):
    """On the way to one cluster: to one of its nodes, or to all."""

    needs = ("toxiproxy",)
    killable = True

    @classmethod
    def draw(cls, rng, shape):
        side = rng.choice(["source", "target", "target"])
        count = shape.source_nodes if side == "source" else shape.target_nodes
        every = list(range(count))
        return {"side": side, "nodes": every if rng.random() < 0.5 else [rng.choice(every)]}

    def roads(self, world):
        return [getattr(world, self.side).nodes[i] for i in self.nodes]


class Toxic(OnRoad):
    """Something that Toxiproxy does to what flows; subclasses say what."""

    def toxics(self):
        """[(type, stream, attributes)]"""
        raise NotImplementedError

    def inject(self, world):
        self._added = []
        for node in self.roads(world):
            for kind, stream, attributes in self.toxics():
                toxic = world.proxy.toxic(node.name, kind, stream, **attributes)
                self._added.append((node.name, toxic))

    def heal(self, world):
        for proxy, toxic in self._added:
            world.proxy.heal(proxy, toxic)


class NetRefused(OnRoad):
    """Connections are closed, and new ones refused."""

    name = "net-refused"

    def inject(self, world):
        for node in self.roads(world):
            world.proxy.enable(node.name, False)

    def heal(self, world):
        for node in self.roads(world):
            world.proxy.enable(node.name, True)


class NetFlapping(OnRoad):
    """Closed and opened again, several times."""

    name, hold = "net-flapping", (0.0, 0.2)

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {
            "times": [round(rng.uniform(0.05, 0.5), 3) for _ in range(2 * rng.randint(2, 4))]}

    def inject(self, world):
        for i, seconds in enumerate(self.times):
            for node in self.roads(world):
                world.proxy.enable(node.name, i % 2 == 1)
            time.sleep(seconds)


class NetCutOneWay(Toxic):
    """What is sent in one direction never arrives; the connection stays."""

    name, hold = "net-cut-one-way", (0.5, 5.0)

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {"stream": rng.choice(["upstream", "downstream"])}

    def toxics(self):
        return [("timeout", self.stream, {"timeout": 0})]


class NetCut(Toxic):
    """Nothing arrives in either direction."""

    name, hold = "net-cut", (0.5, 5.0)

    def toxics(self):
        return [("timeout", stream, {"timeout": 0}) for stream in ("upstream", "downstream")]


class NetLatency(Toxic):
    """Everything arrives late, by a time that varies."""

    name = "net-latency"

    @classmethod
    def draw(cls, rng, shape):
        latency = rng.randint(20, 300)
        return super().draw(rng, shape) | {"latency": latency, "jitter": rng.randint(0, latency)}

    def toxics(self):
        return [("latency", "downstream", {"latency": self.latency, "jitter": self.jitter})]


class NetReset(Toxic):
    """Connections are reset, and each new one soon after its beginning."""

    name = "net-reset"

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {"timeout": rng.choice([0, 50, 300])}

    def toxics(self):
        return [("reset_peer", "downstream", {"timeout": self.timeout})]


class NetNarrow(Toxic):
    """Little bandwidth."""

    name = "net-narrow"

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {"rate": rng.randint(20, 300)}

    def toxics(self):
        return [("bandwidth", stream, {"rate": self.rate}) for stream in ("upstream", "downstream")]


class NetSliced(Toxic):
    """Everything arrives in crumbs."""

    name = "net-sliced"

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {"size": rng.randint(50, 500)}

    def toxics(self):
        return [("slicer", "downstream",
                 {"average_size": self.size, "size_variation": self.size // 2, "delay": 100})]


class NetMidMessage(Toxic):
    """Connections end in the middle of a message, each after so many bytes."""

    name = "net-mid-message"

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {
            "bytes": rng.randint(200, 20_000), "stream": rng.choice(["upstream", "downstream"])}

    def toxics(self):
        return [("limit_data", self.stream, {"bytes": self.bytes})]


class Packet(OnRoad):
    """Something done to packets themselves, which a proxy cannot do; subclasses say what."""

    needs = ("toxiproxy", "packets")

    def rules(self):
        """[(towards, target)]"""
        raise NotImplementedError

    def inject(self, world):
        self._packets = Packets()
        for node in self.roads(world):
            for towards, target in self.rules():
                self._packets.add(node.toxi_port, towards, *target)

    def heal(self, world):
        self._packets.clear()


class PacketsOneWay(Packet):
    """Packets of one direction are dropped: retransmissions, and no answer."""

    name, hold = "packets-one-way", (0.5, 5.0)

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {"towards": rng.choice(["broker", "bridge"])}

    def rules(self):
        return [(self.towards, ("-j", "DROP"))]


class PacketsCut(Packet):
    """Packets of both directions are dropped."""

    name, hold = "packets-cut", (0.5, 5.0)

    def rules(self):
        return [(towards, ("-j", "DROP")) for towards in ("broker", "bridge")]


class PacketsLost(Packet):
    """Some packets are dropped."""

    name = "packets-lost"

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {"probability": round(rng.uniform(0.05, 0.3), 2)}

    def rules(self):
        lost = ("-m", "statistic", "--mode", "random", "--probability", str(self.probability),
                "-j", "DROP")
        return [(towards, lost) for towards in ("broker", "bridge")]


class PacketsReset(Packet):
    """Every packet towards the broker is answered with a reset."""

    name = "packets-reset"

    def rules(self):
        return [("broker", ("-j", "REJECT", "--reject-with", "tcp-reset"))]


class HalfOpen(PacketsCut):
    """The broker's side forgets the connections, and the bridge's side is not told."""

    name, hold = "net-half-open", (0.2, 3.0)

    def inject(self, world):
        super().inject(world)
        for node in self.roads(world):
            world.proxy.enable(node.name, False)

    def heal(self, world):
        for node in self.roads(world):
            world.proxy.enable(node.name, True)
        super().heal(world)


# ---- topics ------------------------------------------------------------------------------------


class SourceGrows(Fault):
    """A source topic gets one more partition, and records at once."""

    name, hold = "source-grows", (0.0, 0.5)

    def inject(self, world):
        world.grow()


RENEWED = "reborn"  # the topic whose lives end


class TopicRecreated(Fault):
    """A source topic is deleted and made anew under its name, with other records from offset 0.

    What it held must be copied before, as the README says; the audit keeps what that was.
    """

    name, hold = "topic-recreated", (1.5, 2.5)

    def inject(self, world):
        world.retire()
        world.source.delete_topic(RENEWED)

    def heal(self, world):
        world.renew()


class TopicReplaced(Fault):
    """While every bridge is down, a topic is made anew and gets more records than it had before.

    The old position exists in the new topic, and means nothing there.
    """

    name, repeats, hold = "topic-replaced", True, (0.0, 0.3)

    def inject(self, world):
        world.retire()
        for instance in world.instances:
            instance.kill()
        world.source.delete_topic(RENEWED)
        world.renew(beyond=True)

    def heal(self, world):
        for instance in world.instances:
            instance.start()


# ---- state and disk ----------------------------------------------------------------------------


class DiskFull(OnInstance):
    """Every write below the state directory fails for want of space."""

    name, needs, hold = "disk-full", ("shim",), (1.0, 3.0)
    killable = True

    def inject(self, world):
        self._before = self.of(world).shim.hits
        self.of(world).shim.wish(state_errno=errno.ENOSPC)

    def heal(self, world):
        try:
            wait_until(lambda: self.of(world).shim.hits > self._before, 10, "a checkpoint to fail")
        except TimeoutError as error:
            # One of several may have been dealt nothing.
            if len(world.instances) == 1:
                raise AssertionError(
                    "laboratory: no checkpoint was written while the disk was full") from error
        finally:
            self.of(world).shim.wish(state_errno=0)


class DiskSlow(OnInstance):
    """Every write below the state directory takes its time."""

    name, needs, hold = "disk-slow", ("shim",), (1.0, 3.0)
    killable = True

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {"milliseconds": rng.randint(100, 700)}

    def inject(self, world):
        self.of(world).shim.wish(state_delay_ms=self.milliseconds)

    def heal(self, world):
        self.of(world).shim.wish(state_delay_ms=0)


class StateLost(OnInstance):
    """kill -9, and the state directory is gone."""

    name, repeats, hold = "state-lost", True, (0.0, 0.5)

    def inject(self, world):
        self.of(world).kill()
        shutil.rmtree(self.of(world).state)

    def heal(self, world):
        self.of(world).start()


class StateOld(OnInstance):
    """The state directory is copied, work goes on, and after kill -9 the old copy comes back."""

    name, repeats, hold = "state-old", True, (0.0, 0.5)

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {"age": round(rng.uniform(1.0, 3.0), 2)}

    def inject(self, world):
        instance = self.of(world)
        copy = instance.state.with_name("state-old")
        instance.kill()
        shutil.copytree(instance.state, copy)
        instance.start()
        time.sleep(self.age)
        instance.kill()
        shutil.rmtree(instance.state)
        copy.rename(instance.state)

    def heal(self, world):
        self.of(world).start()


# ---- the clock ---------------------------------------------------------------------------------


class ClockForward(OnInstance):
    """The wall clock of one bridge's host jumps ahead, and back when it is mended."""

    name, needs, sign = "clock-forward", ("shim",), 1
    killable = True

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {
            "seconds": rng.choice([2, 60, 3_600, 86_400, 34_560_000])}

    def inject(self, world):
        self.of(world).shim.wish(clock_offset_ns=self.sign * self.seconds * 1_000_000_000)

    def heal(self, world):
        self.of(world).shim.wish(clock_offset_ns=0)


class ClockBackward(ClockForward):
    """The wall clock of one bridge's host jumps back, and ahead when it is mended."""

    name, sign = "clock-backward", -1


# ---- keys --------------------------------------------------------------------------------------


class OnKeys(Fault):
    """The key store of the source's or the target's side."""

    hold, killable = (1.2, 3.0), True

    @classmethod
    def draw(cls, rng, shape):
        return {"domain": rng.choice(["here", "there"])}

    def ring(self, world):
        return world.rings[self.domain]


class KeysDenied(OnKeys):
    """Every version of the key is disabled, then enabled again."""

    name = "keys-denied"

    def inject(self, world):
        self.ring(world).enable(False)

    def heal(self, world):
        self.ring(world).enable(True)


class KeysFailing(OnKeys):
    """The key file is not there. A bridge that is started then would end with 1, as it should."""

    name, killable = "keys-failing", False

    def inject(self, world):
        path = self.ring(world).path
        path.rename(path.with_name(path.name + ".away"))

    def heal(self, world):
        path = self.ring(world).path
        path.with_name(path.name + ".away").rename(path)


class KeysSlow(OnKeys):
    """The key file was written anew, and takes long to open."""

    name, needs = "keys-slow", ("shim",)

    @classmethod
    def draw(cls, rng, shape):
        return super().draw(rng, shape) | {"milliseconds": rng.randint(300, 1_500)}

    def inject(self, world):
        self._before = sum(instance.shim.hits for instance in world.instances)
        for instance in world.instances:
            instance.shim.wish(key_delay_ms=self.milliseconds)
        self.ring(world).enable(True)

    def heal(self, world):
        for instance in world.instances:
            instance.shim.wish(key_delay_ms=0)
        if sum(instance.shim.hits for instance in world.instances) == self._before:
            raise AssertionError("laboratory: no key file was opened while that was slow")


class KeysRotated(OnKeys):
    """A new version of the key, which records are sealed under from now on."""

    name, hold = "keys-rotated", (0.0, 0.5)

    def inject(self, world):
        self.ring(world).rotate()


# ---- records that fail -------------------------------------------------------------------------


class RecordsRefused(Fault):
    """Values that are no envelopes, or were tampered with, among good ones: dead letters."""

    name, hold = "records-refused", (0.0, 0.5)
    killable = True

    @classmethod
    def draw(cls, rng, shape):
        return {"kind": rng.choice(["clear", "tampered"]), "count": rng.randint(1, 20)}

    def inject(self, world):
        world.load.spoil("sealed", self.kind, self.count)


class RecordsTooLarge(Fault):
    """Records that the target refuses, with the whole batch that they are in: dead letters."""

    name, repeats, hold = "records-too-large", True, (0.0, 0.5)
    killable = True

    @classmethod
    def draw(cls, rng, shape):
        return {"count": rng.randint(1, 6)}

    def inject(self, world):
        world.load.spoil("plain.b", "large", self.count)
