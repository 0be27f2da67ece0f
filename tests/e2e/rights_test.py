"""Rights on both clusters: those that the README lists are enough, and none of them is too much.

Each is taken away in turn: `check` names it as far as that can be known without leaving traces,
`run` says the same words, copies nothing wrong meanwhile, and goes on by itself once it is granted.
"""

import dataclasses
import re
import shlex

import pytest
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType,
                                   ResourcePatternType, ResourceType)

from harness import Broker, configuration, pipeline, wait_until

READER, WRITER = "reader", "writer"  # what the bridge is called on the source and on the target
DAEMON = "rights"


@pytest.fixture(scope="module")
def broker():
    """Source and target at once: the rights of the two users tell them apart."""
    made = Broker("4.1", "rights", users=(READER, WRITER))
    try:
        yield made.start()
    finally:
        made.remove()


def right(user, operation, resource, name, prefixed=False, allow=True):
    return AclBinding(
        ResourceType[resource], name,
        ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL,
        f"User:{user}", "*", AclOperation[operation],
        AclPermissionType.ALLOW if allow else AclPermissionType.DENY)


def idempotent_write():
    return right(WRITER, "IDEMPOTENT_WRITE", "BROKER", "kafka-cluster")


@dataclasses.dataclass
class World:
    """A pipeline, its topics, and every right that it needs, by a name of the tests' own."""

    broker: Broker
    pipeline: str
    topic: str
    out: str
    partitions: int
    rights: dict

    @property
    def ledger(self):
        return f"__drawbridge.ledger.{DAEMON}.{self.pipeline}.1"

    @property
    def values(self):
        return [b"%d" % i for i in range(3 * self.partitions)]

    def grant(self, *rights):
        for done in self.broker.admin.create_acls(list(rights)).values():
            done.result(10)

    def revoke(self, *rights):
        filters = [AclBindingFilter(r.restype, r.name, r.resource_pattern_type, r.principal, r.host,
                                    r.operation, r.permission_type) for r in rights]
        for done in self.broker.admin.delete_acls(filters).values():
            done.result(10)

    def produce(self):
        self.broker.produce(self.topic, [{"value": v, "partition": i % self.partitions}
                                         for i, v in enumerate(self.values)])

    def arrived(self):
        if self.out not in self.broker.topics():
            return []
        return sorted(self.broker.values(self.out))


@pytest.fixture
def world(broker, unique, bridge, tmp_path):
    """world(delivery, ...) -> the World and a bridge for it; without any right yet."""
    worlds = []
    password = tmp_path / "password"
    password.write_text(broker.PASSWORD)
    password.chmod(0o600)

    def cluster(user):
        return broker.user_properties(user) | {
            "sasl.password": f"${{file:{password}}}", "reconnect.backoff.max.ms": 500}

    def make(delivery="at-least-once", create=False, out_partitions=2, ledger=True, share=False,
             **settings):
        name, topic = unique("p"), broker.create_topic(unique(), 2)
        out = f"out.{topic}"
        rights = {
            "source topic": right(READER, "READ", "TOPIC", topic),
            "source group": right(READER, "READ", "GROUP", f"drawbridge-{name}"),
            "source configs": right(READER, "DESCRIBE_CONFIGS", "TOPIC", topic),
            "target topic": right(WRITER, "WRITE", "TOPIC", out),
            "target configs": right(WRITER, "DESCRIBE_CONFIGS", "TOPIC", out),
        }
        if share and delivery == "exactly-once":
            rights["lease"] = right(WRITER, "READ", "GROUP", f"__drawbridge.lease.{DAEMON}.{name}")
        if create:
            rights["create"] = right(WRITER, "CREATE", "TOPIC", out)
            rights["grow"] = right(WRITER, "ALTER", "TOPIC", out)
        if delivery == "exactly-once":
            ledgers = f"__drawbridge.ledger.{DAEMON}.{name}."
            rights |= {
                "transactions": right(WRITER, "WRITE", "TRANSACTIONAL_ID", f"{DAEMON}.{name}.", True),
                "read ledger": right(WRITER, "READ", "TOPIC", ledgers, True),
                "write ledger": right(WRITER, "WRITE", "TOPIC", ledgers, True),
                "create ledger": right(WRITER, "CREATE", "TOPIC", ledgers, True),
                "ledger configs": right(WRITER, "DESCRIBE_CONFIGS", "TOPIC", ledgers, True),
            }
        made = World(broker, name, topic, out, 2, rights)
        worlds.append(made)
        if out_partitions:
            broker.create_topic(out, out_partitions)
        if delivery == "exactly-once" and ledger:
            broker.create_topic(made.ledger, 2, cleanup_policy="compact")
        config = configuration(
            cluster(READER), cluster(WRITER),
            {name: pipeline(topic, to="out.{topic}", create=create, delivery=delivery, shards=2,
                            share=share, **settings)}, name=DAEMON)
        return made, bridge(config)

    yield make
    everything = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None,
                                  AclOperation.ANY, AclPermissionType.ANY)
    for done in broker.admin.delete_acls([everything]).values():
        done.result(10)


@pytest.mark.parametrize("create", [False, True], ids=["topics", "create-topics"])
@pytest.mark.parametrize("share", [False, True], ids=["alone", "shared"])
@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_the_listed_rights_are_enough(delivery, share, create, world):
    here, made = world(delivery, create, out_partitions=0 if create else 2, ledger=False,
                       share=share)
    here.grant(*here.rights.values())
    here.produce()
    for _ in range(2):  # and again, with a ledger that holds something
        checked = made.with_config("check")
        assert checked.status == 0 and " 0 warnings, 0 failed" in checked.text, checked.text
        made.until_caught_up()
        assert here.arrived() == here.values
        assert "uthorization" not in made.log.read_text()
    assert sum(here.broker.committed(f"drawbridge-{here.pipeline}", here.topic).values()) > 0


@dataclasses.dataclass
class Case:
    name: str
    taken: str            # a name in World.rights
    words: str            # what run says; {topic}, {out}, {pipeline}, {ledger}
    delivery: str = "at-least-once"
    instead: tuple = ()   # of World: what is granted in its place
    check: str = None     # what check says, where it is not `words`
    passes: bool = False  # check fails without it, or says what it cannot prove
    copies: bool = False  # run copies without it
    options: dict = dataclasses.field(default_factory=dict)


def described(w):
    return right(WRITER, "DESCRIBE", "TOPIC", w.out)


NOT_PROVABLE = "not provable without traces: WRITE on topics {out}"
EXACTLY_ONCE = {"delivery": "exactly-once"}
CASES = [
    Case("source topic", "source topic", "source topic does not exist yet",
         check="needs READ on topic {topic}: "),
    Case("source topic that is shown", "source topic", "needs READ on topic {topic}: ",
         instead=(lambda w: right(READER, "DESCRIBE", "TOPIC", w.topic),)),
    Case("source group", "source group", "needs READ on group drawbridge-{pipeline}: "),
    Case("source group, exactly once", "source group",
         "needs READ on group drawbridge-{pipeline}: ", **EXACTLY_ONCE),
    Case("source group that is shown", "source group",
         "needs READ on group drawbridge-{pipeline}: ",
         instead=(lambda w: right(READER, "DESCRIBE", "GROUP", f"drawbridge-{w.pipeline}"),),
         check="READ on group drawbridge-{pipeline}, beyond describing", passes=True, copies=True),
    Case("source settings", "source configs", "pipeline running",
         check="needs DESCRIBE_CONFIGS on topic {topic}: ", passes=True, copies=True),
    Case("source settings that a new topic needs", "source configs",
         "needs DESCRIBE_CONFIGS on topic {topic}: ", options={"create": True, "out_partitions": 0}),
    Case("target settings", "target configs", "pipeline running",
         check="needs DESCRIBE_CONFIGS on topic {out}: ", passes=True, copies=True),
    Case("target topic", "target topic", "needs WRITE on topic {out}: "),
    Case("target topic, exactly once", "target topic", "needs WRITE on topic {out}: ",
         **EXACTLY_ONCE),
    Case("target topic that is shown", "target topic", "needs WRITE on topic {out}: ",
         instead=(described, lambda w: idempotent_write()), check=NOT_PROVABLE, passes=True),
    Case("target topic, on-error drop", "target topic", "needs WRITE on topic {out}: ",
         instead=(described, lambda w: idempotent_write()), check=NOT_PROVABLE, passes=True,
         options={"on_error": "drop"}),
    Case("idempotence", "target topic", "needs IDEMPOTENT_WRITE on the cluster: ",
         instead=(described,), check=NOT_PROVABLE, passes=True),
    Case("target topic that is shown, exactly once", "target topic", "needs WRITE on topic {out}: ",
         instead=(described,), check=NOT_PROVABLE + ", {ledger}; ", passes=True,
         **EXACTLY_ONCE),
    Case("creating a topic", "create", "needs CREATE on topic {out}: ",
         options={"create": True, "out_partitions": 0}),
    Case("growing a topic", "grow", "needs ALTER on topic {out}: ",
         options={"create": True, "out_partitions": 1}),
    Case("transactions", "transactions",
         "needs WRITE on TransactionalId rights.{pipeline}.", **EXACTLY_ONCE),
    Case("transactions of a pipeline without a ledger", "transactions",
         "needs WRITE on TransactionalId rights.{pipeline}.", options={"ledger": False},
         **EXACTLY_ONCE),
    Case("transactions that are shown", "transactions",
         "needs WRITE on TransactionalId rights.{pipeline}.",
         instead=(lambda w: right(WRITER, "DESCRIBE", "TRANSACTIONAL_ID",
                                  f"{DAEMON}.{w.pipeline}.", True),), **EXACTLY_ONCE),
    Case("reading the ledger", "read ledger", "needs READ on topic {ledger}: ", **EXACTLY_ONCE),
    Case("writing to the ledger", "write ledger", "needs WRITE on topic {ledger}: ",
         check="not provable without traces: WRITE on topics {out}, {ledger}; ", passes=True, **EXACTLY_ONCE),
    Case("creating the ledger", "create ledger", "needs CREATE on topic {ledger}: ",
         options={"ledger": False}, **EXACTLY_ONCE),
    Case("the lease", "lease", f"needs READ on group __drawbridge.lease.{DAEMON}.{{pipeline}}: ",
         options={"share": True}, **EXACTLY_ONCE),
    Case("sharing by the source group", "source group",
         "needs READ on group drawbridge-{pipeline}: ", options={"share": True}),
    Case("sharing by a source group that is shown", "source group",
         "needs READ on group drawbridge-{pipeline}: ", options={"share": True},
         instead=(lambda w: right(READER, "DESCRIBE", "GROUP", f"drawbridge-{w.pipeline}"),),
         check="READ on group drawbridge-{pipeline}, beyond describing", passes=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: re.sub("[, ]+", "-", case.name))
def test_a_missing_right_is_named_and_its_grant_is_noticed(case, world):
    here, made = world(case.delivery, **case.options)
    given = [acl for name, acl in here.rights.items() if name != case.taken]
    here.grant(*given, *(make(here) for make in case.instead))
    here.produce()

    def filled(text):
        return text.format(topic=here.topic, out=here.out, pipeline=here.pipeline,
                           ledger=here.ledger)

    checked = made.with_config("check")
    assert checked.status == (0 if case.passes else 3), checked.text
    assert filled(case.check or case.words) in checked.text, checked.text

    made.start()
    made.wait_for(filled(case.words))
    if not case.copies:
        assert here.arrived() == []
    here.grant(here.rights[case.taken])
    wait_until(lambda: here.arrived() == here.values, 30, "what was held up")
    assert made.terminate() == 0
    assert here.arrived() == here.values
    committed = here.broker.committed(f"drawbridge-{here.pipeline}", here.topic)
    assert committed == {p: end for p, (_, end) in here.broker.ends(here.topic).items()}
    assert made.with_config("check").status == 0


def test_a_denied_transactional_id(world):
    """DESCRIBE comes with WRITE, and can still be denied."""
    here, made = world("exactly-once")
    denied = right(WRITER, "DESCRIBE", "TRANSACTIONAL_ID", f"{DAEMON}.{here.pipeline}.", True, False)
    here.grant(*here.rights.values(), denied)
    here.produce()
    words = f"on TransactionalId {DAEMON}.{here.pipeline}."
    assert words in made.with_config("check").text
    made.start()
    made.wait_for(words)
    here.revoke(denied)
    wait_until(lambda: here.arrived() == here.values, 30, "what was held up")


@pytest.mark.parametrize("delivery, taken", [
    ("at-least-once", "target topic"), ("exactly-once", "target topic"),
    ("exactly-once", "write ledger"), ("exactly-once", "transactions"),
    ("at-least-once", "source topic")])
def test_a_right_that_is_taken_back_while_it_runs(delivery, taken, world):
    here, made = world(delivery)
    here.grant(*here.rights.values(), described(here), idempotent_write(),
               right(READER, "DESCRIBE", "TOPIC", here.topic))
    here.produce()
    made.start()
    wait_until(lambda: here.arrived() == here.values, 30, "the first records")
    here.revoke(here.rights[taken])
    here.produce()
    made.wait_for("needs READ on" if taken == "source topic" else "needs WRITE on")
    made.wait_for("FAILED")
    assert here.arrived() == here.values
    here.grant(here.rights[taken])
    twice = sorted(here.values * 2)
    wait_until(lambda: here.arrived() == twice, 40, "what was held up")
    assert made.terminate() == 0
    assert here.arrived() == twice


def test_running_what_check_says_is_all_it_takes(world):
    """From no right at all, with Kafka's own tool, to a clean check and a copy."""
    here, made = world("exactly-once", create=True, out_partitions=0, ledger=False)
    here.produce()
    seen = set()
    for _ in range(12):
        checked = made.with_config("check")
        commands = set(re.findall(r"`(kafka-acls [^`]*)`", checked.text)) - seen
        if not commands:
            break
        for command in commands:
            _, server, address, *arguments = shlex.split(command)
            assert server == "--bootstrap-server" and address.endswith(str(here.broker.sasl_port))
            here.broker.tool("org.apache.kafka.tools.AclCommand", server, here.broker.bootstrap,
                             *arguments)
        seen |= commands
    assert checked.status == 0 and " 0 warnings, 0 failed" in checked.text, checked.text
    made.until_caught_up()
    assert here.arrived() == here.values
