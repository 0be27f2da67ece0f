"""Which topics are read, what the copies are called, and topics that come while it runs."""

from harness import configuration, pipeline, wait_until


def test_expressions_are_anchored_and_excludes_win(source, target, bridge, unique):
    base = unique("orders").replace("-", "_")
    wanted = [f"{base}.eu", f"{base}.us"]
    others = [f"{base}.eu.internal", f"x{base}.eu", f"{base}-eu", f"{base}.excluded"]
    for topic in wanted + others:
        source.create_topic(topic)
        source.produce(topic, [topic.encode()])
    bridge(configuration(source, target, {unique("p"): pipeline(
        f"^{base}[.][a-z]+", source={"exclude": [f"{base}.excluded"]})})).until_caught_up()
    assert [t for t in target.topics() if base in t] == sorted(wanted)
    for topic in wanted:
        assert target.values(topic) == [topic.encode()]


def test_a_literal_is_no_expression(source, target, bridge, unique):
    base = unique().replace("-", "_")
    for topic in (f"{base}.a", f"{base}-a"):
        source.create_topic(topic)
        source.produce(topic, [topic.encode()])
    bridge(configuration(source, target, {unique("p"): pipeline(f"{base}.a")})).until_caught_up()
    assert [t for t in target.topics() if base in t] == [f"{base}.a"]


def test_internal_topics_only_where_named(source, target, bridge, unique):
    plain, hidden = unique("plain"), "__" + unique("hidden")
    for topic in (plain, hidden):
        source.create_topic(topic)
        source.produce(topic, [b"v"])
    everything = f"^(__)?(plain|hidden)-{plain.removeprefix('plain-')}"
    bridge(configuration(source, target, {
        unique("p"): pipeline(everything, to="a.{topic}")})).until_caught_up()
    assert [t for t in target.topics() if t.startswith("a.") and t.endswith(plain[-6:])] == [
        f"a.{plain}"]
    bridge(configuration(source, target, {
        unique("q"): pipeline(hidden, to="b.{topic}")})).until_caught_up()
    assert target.values(f"b.{hidden}") == [b"v"]


def test_names_from_a_template(source, target, bridge, unique):
    topic, name = source.create_topic(unique()), unique("p")
    source.produce(topic, [b"v"])
    bridge(configuration(source, target, {
        name: pipeline(topic, to="{cluster}.{pipeline}.{topic}.copy")})).until_caught_up()
    assert target.values(f"src.{name}.{topic}.copy") == [b"v"]
    assert topic not in target.topics()


def test_topics_that_are_made_are_told(source, target, bridge, unique):
    topic, dead = source.create_topic(unique(), partitions=2), unique("dead")
    made = bridge(configuration(source, target, {unique("p"): pipeline(
        topic, on_error={"dead-letter": {"topic": dead, "cluster": "src"}})}))
    made.until_caught_up()
    for event, name in (("created target topic", topic), ("created dead-letter topic", dead)):
        (told,) = made.events(event)
        assert (told["topic"], told["partitions"]) == (name, 2)
    assert source.partitions(dead) == 2


def test_topics_and_partitions_that_come_while_it_runs(source, target, bridge, unique):
    base = unique("late")
    first, second = f"{base}.first", f"{base}.second"
    source.create_topic(first)
    source.produce(first, [b"1"])
    made = bridge(configuration(source, target, {unique("p"): pipeline(f"^{base}[.].*")})).start()
    wait_until(lambda: first in target.topics() and target.count(first) == 1, 30, "the first record")

    source.create_topic(second, partitions=2)
    source.produce(second, [{"value": b"2", "partition": 1}])
    wait_until(lambda: second in target.topics() and target.count(second) == 1, 30, "the new topic")

    source.add_partitions(first, 3)
    source.produce(first, [{"value": b"3", "partition": 2}])
    wait_until(lambda: target.partitions(first) == 3 and target.count(first) == 2, 30,
               "the new partition")
    assert made.terminate() == 0
    assert [r.value for r in target.read(first)[2]] == [b"3"]
    assert [r.value for r in target.read(second)[1]] == [b"2"]


def test_a_new_partition_is_read_from_its_start_even_after_latest(source, target, bridge, unique):
    topic = source.create_topic(unique())
    source.produce(topic, [b"old"])
    target.create_topic(topic)
    made = bridge(configuration(source, target, {
        unique("p"): pipeline(topic, source={"start": "latest"})}))
    made.until_caught_up()
    assert target.values(topic) == []
    source.produce(topic, [b"new"])
    made.until_caught_up()
    assert target.values(topic) == [b"new"]


def test_start_at_a_time(source, target, bridge, unique):
    topic = source.create_topic(unique())
    times = [1_767_139_200_000 + hour * 3_600_000 for hour in range(5)]  # from 2025-12-31T00:00Z
    source.produce(topic, [{"value": b"%d" % i, "timestamp": t} for i, t in enumerate(times)])
    bridge(configuration(source, target, {
        unique("p"): pipeline(topic, source={"start": "2025-12-31T03:00:00Z"})})).until_caught_up()
    assert target.values(topic) == [b"3", b"4"]


def test_several_pipelines_in_one_daemon_and_one_that_fails(source, target, bridge, unique):
    good, bad = source.create_topic(unique("good")), source.create_topic(unique("bad"))
    source.produce(good, [b"1"])
    source.produce(bad, [b"1"])
    # `bad` has no target topic and may not create one.
    made = bridge(configuration(source, target, {
        unique("bad-pipeline"): pipeline(bad, create=False),
        unique("good-pipeline"): pipeline(good),
    })).start()
    wait_until(lambda: good in target.topics() and target.count(good) == 1, 30, "the good pipeline")
    made.wait_for("FAILED")
    source.produce(good, [b"2"])
    wait_until(lambda: target.count(good) == 2, 30, "the good pipeline to go on")
    # Its cause passes, and so does the failure.
    target.create_topic(bad)
    wait_until(lambda: target.count(bad) == 1, 60, "the failed pipeline to start again")
    assert made.terminate() == 0
