"""Positions in Kafka's own terms: ordinary lag tools, an operator's reset, `drawbridge offsets`."""

import json

from harness import configuration, pipeline, wait_until


def test_the_group_shows_no_lag_even_behind_a_marker(source, target, bridge, unique):
    topic, name = source.create_topic(unique(), partitions=3), unique("p")
    source.produce(topic, [{"value": b"%d" % i, "partition": i % 2} for i in range(100)])
    source.transaction(topic, [b"kept"], partition=1)
    source.transaction(topic, [b"aborted"], commit=False, partition=2)
    bridge(configuration(source, target, {name: pipeline(topic)}, instance=None)).until_caught_up()
    ends = {p: end for p, (_, end) in source.ends(topic).items()}
    assert ends[1] == 52 and ends[2] == 2  # the markers count
    assert source.committed(f"drawbridge-{name}", topic) == ends
    table = source.consumer_groups("--group", f"drawbridge-{name}", "--describe")
    lags = [line.split()[5] for line in table.splitlines() if topic in line]
    assert lags == ["0", "0", "0"]


def test_the_group_follows_while_running(source, target, bridge, unique):
    topic, group = source.create_topic(unique()), unique("group")
    made = bridge(configuration(source, target, {
        unique("p"): pipeline(topic, source={"group": group})})).start()
    for count in (10, 20):
        source.produce(topic, [b"v"] * 10)
        wait_until(lambda: source.committed(group, topic) == {0: count}, 30, f"offset {count}")
    assert made.terminate() == 0


def test_an_operators_reset_wins(source, target, bridge, unique):
    topic, name = source.create_topic(unique()), unique("p")
    source.produce(topic, [b"%d" % i for i in range(10)])
    made = bridge(configuration(source, target, {name: pipeline(topic)}, instance=None))
    made.until_caught_up()
    source.consumer_groups("--group", f"drawbridge-{name}", "--topic", topic, "--reset-offsets",
                           "--to-offset", "7", "--execute")
    done = made.until_caught_up()
    assert target.values(topic) == [b"%d" % i for i in [*range(10), 7, 8, 9]]
    assert "reset" in done.text
    made.until_caught_up()
    assert target.count(topic) == 13


def test_the_same_reset_wins_every_time(source, target, bridge, unique):
    """Also when it asks for an offset that was the group's before."""
    topic, name = source.create_topic(unique()), unique("p")
    source.produce(topic, [b"%d" % i for i in range(10)])
    made = bridge(configuration(source, target, {name: pipeline(topic)}, instance=None))
    made.until_caught_up()
    for count in (1, 2, 3):
        source.consumer_groups("--group", f"drawbridge-{name}", "--topic", topic,
                               "--reset-offsets", "--to-offset", "7", "--execute")
        made.until_caught_up()
        assert target.count(topic) == 10 + 3 * count
        (position,) = json.loads(made.with_config("offsets list", "--format", "json").out)
        assert (position["next"], position["group"]) == (10, 10), position


def test_a_reset_wins_over_the_checkpoints_of_all_instances(source, target, bridge, unique):
    """One instance carries it out, and the other does not go back to what it knows itself."""
    topic, name = source.create_topic(unique()), unique("p")
    source.produce(topic, [b"%d" % i for i in range(10)])
    config = configuration(source, target, {name: pipeline(topic)}, instance=None)
    first, second = bridge(config), bridge(config)
    first.until_caught_up()
    second.until_caught_up()
    assert target.count(topic) == 10
    for one, other in ((second, first), (first, second)):
        before = target.count(topic)
        source.consumer_groups("--group", f"drawbridge-{name}", "--topic", topic,
                               "--reset-offsets", "--to-offset", "7", "--execute")
        one.until_caught_up()
        other.until_caught_up()
        assert target.values(topic)[before:] == [b"7", b"8", b"9"]


def test_a_commit_that_came_late_is_no_reset(source, target, bridge, unique):
    """The broker reads what was sent on a dropped connection after newer commits."""
    topic, name = source.create_topic(unique()), unique("p")
    group = f"drawbridge-{name}"
    source.produce(topic, [b"%d" % i for i in range(10)])
    made = bridge(configuration(source, target, {name: pipeline(topic)}, instance=None))
    made.until_caught_up()
    source.commit_again(group, topic, 3)
    assert source.committed(group, topic) == {0: 3}
    made.until_caught_up()
    assert target.values(topic) == [b"%d" % i for i in range(10)]
    assert source.committed(group, topic) == {0: 10}  # told again


def test_a_lost_group_offset_never_wins(source, target, bridge, unique):
    topic, name = source.create_topic(unique()), unique("p")
    source.produce(topic, [b"%d" % i for i in range(10)])
    made = bridge(configuration(source, target, {name: pipeline(topic)}, instance=None))
    made.until_caught_up()
    source.consumer_groups("--group", f"drawbridge-{name}", "--delete")
    source.produce(topic, [b"10"])
    made.until_caught_up()
    assert target.values(topic) == [b"%d" % i for i in range(11)]


def test_offsets_commands(source, target, bridge, unique):
    topic, name = source.create_topic(unique(), partitions=2), unique("p")
    source.produce(topic, [{"value": b"%d" % i, "partition": i % 2} for i in range(20)])
    made = bridge(configuration(source, target, {name: pipeline(topic)}, instance=None))
    made.until_caught_up()

    listed = made.with_config("offsets list")
    assert listed.status == 0, listed.text
    assert len(json.loads(made.with_config("offsets list", "--format", "json").out)) == 2
    rows = [line for line in listed.out.splitlines() if topic in line]
    assert len(rows) == 2 and all(name in row and "10" in row for row in rows)

    exported = made.with_config("offsets export")
    assert exported.status == 0, exported.text
    assert exported.out.startswith("drawbridge-offsets\t1\t")
    saved = made.folder / "positions"
    saved.write_text(exported.out)

    reset = made.with_config("offsets reset", "--pipeline", name, "--topic", topic, "--to", "4")
    assert reset.status == 0, reset.text
    assert "10" in reset.out and "4" in reset.out  # before and after
    assert source.committed(f"drawbridge-{name}", topic) == {0: 4, 1: 4}
    made.until_caught_up()
    assert target.count(topic) == 20 + 12

    source.produce(topic, [{"value": b"more", "partition": 0}])
    made.until_caught_up()
    imported = made.with_config("offsets import", str(saved))
    assert imported.status == 0, imported.text
    made.until_caught_up()
    assert target.count(topic) == 34  # `more` once again: the saved position was before it


def test_only_a_topic_of_the_pipeline_is_reset(source, target, bridge, unique):
    topic, other, name = source.create_topic(unique()), source.create_topic(unique("x")), unique("p")
    source.produce(topic, [b"%d" % i for i in range(10)])
    config = configuration(source, target, {name: pipeline(topic)}, instance=None)
    made = bridge(config)
    made.until_caught_up()

    def reset(of):
        return made.with_config("offsets reset", "--pipeline", name, "--topic", of, "--to",
                                "earliest")

    refused = reset(other)
    assert refused.status == 1, refused.text
    assert f"does not read topic {other}" in refused.err and topic in refused.err
    assert source.committed(f"drawbridge-{name}", other) == {0: None}
    # A topic that the pipeline read before is still its own.
    config["pipelines"][name]["from"]["topics"] = [other]
    made.configure(config)
    assert reset(topic).status == 0
    assert source.committed(f"drawbridge-{name}", topic) == {0: 0}


def test_offsets_are_left_alone_while_the_daemon_runs(source, target, bridge, unique):
    topic, name = source.create_topic(unique()), unique("p")
    source.produce(topic, [b"v"])
    made = bridge(configuration(source, target, {name: pipeline(topic)}, instance=None)).start()
    wait_until(lambda: topic in target.topics() and target.count(topic) == 1, 30, "the record")
    refused = made.with_config("offsets reset", "--pipeline", name, "--topic", topic, "--to", "0")
    assert refused.status != 0 and refused.err
    assert made.terminate() == 0
