"""Records that are gone before they were read: said exactly, and never passed over in silence."""

import pytest

from harness import configuration, pipeline, wait_until


def run_config(source, target, unique, topic, on_gap):
    return configuration(source, target, {
        unique("p"): pipeline(topic, source={"on-gap": on_gap})}, instance=None)


@pytest.mark.parametrize("on_gap", ["stop", "earliest"])
def test_records_aged_out_since_the_checkpoint(on_gap, source, target, bridge, unique):
    topic = source.create_topic(unique(on_gap))
    made = bridge(run_config(source, target, unique, topic, on_gap))
    source.produce(topic, [b"%d" % i for i in range(100)])
    made.until_caught_up()
    source.produce(topic, [b"%d" % i for i in range(100, 200)])
    source.delete_records(topic, 0, 150)
    done = made.until_caught_up(expect=None)
    # exactly which offsets are gone: 100 to 149
    assert topic in done.text and "100" in done.text and ("149" in done.text or "150" in done.text)
    if on_gap == "stop":
        assert done.status != 0
        assert target.values(topic) == [b"%d" % i for i in range(100)]
    else:
        assert done.status == 0
        assert target.values(topic) == [b"%d" % i for i in [*range(100), *range(150, 200)]]


@pytest.mark.parametrize("on_gap", ["stop", "earliest"])
def test_check_tells_of_a_gap_before_the_pipeline_meets_it(on_gap, source, target, bridge, unique):
    topic = source.create_topic(unique(on_gap))
    config = run_config(source, target, unique, topic, on_gap)
    made = bridge(config)
    source.produce(topic, [b"%d" % i for i in range(100)])
    made.until_caught_up()
    assert "no gaps" in made.with_config("check").text

    def finding():
        done = made.with_config("check")
        assert done.status == (3 if on_gap == "stop" else 0), done.text
        (line,) = [line for line in done.text.splitlines() if "are gone" in line]
        assert line.startswith("FAIL" if on_gap == "stop" else "WARN"), line
        assert f"(on-gap: {on_gap})" in line and "offsets reset" in line
        return line

    source.produce(topic, [b"%d" % i for i in range(100, 200)])
    source.delete_records(topic, 0, 150)
    assert f"offsets 100 to 149 of {topic} [0]" in finding()
    (name,) = config["pipelines"]
    reset = made.with_config("offsets reset", "--pipeline", name, "--topic", topic, "--to", "160")
    assert reset.status == 0, reset.text
    assert "no gaps" in made.with_config("check").text
    source.delete_topic(topic)
    source.create_topic(topic)
    source.produce(topic, [b"new %d" % i for i in range(40)])
    assert f"offsets 40 to 159 of {topic} [0]" in finding()


def test_the_record_before_the_checkpoint_aged_out_is_no_gap(source, target, bridge, unique):
    topic = source.create_topic(unique())
    made = bridge(run_config(source, target, unique, topic, "stop"))
    source.produce(topic, [b"%d" % i for i in range(100)])
    made.until_caught_up()
    source.produce(topic, [b"%d" % i for i in range(100, 110)])
    source.delete_records(topic, 0, 100)
    done = made.until_caught_up()
    assert "cannot be proven" in done.text
    assert target.values(topic) == [b"%d" % i for i in range(110)]


@pytest.mark.parametrize("count", [500, 40])
@pytest.mark.parametrize("on_gap", ["stop", "earliest"])
def test_topic_deleted_and_recreated_between_runs(count, on_gap, source, target, bridge, unique):
    """Offset 100 of the new topic is not offset 100 of the old one, whether it exists or not."""
    topic = source.create_topic(unique(f"{on_gap}{count}"))
    made = bridge(run_config(source, target, unique, topic, on_gap))
    old = [b"old %d" % i for i in range(100)]
    source.produce(topic, old)
    made.until_caught_up()
    source.delete_topic(topic)
    source.create_topic(topic)
    new = [b"new %d" % i for i in range(count)]
    source.produce(topic, new)
    done = made.until_caught_up(expect=None)
    assert topic in done.text
    if on_gap == "stop":
        assert done.status != 0
        assert target.values(topic) == old
    else:
        assert done.status == 0
        assert target.values(topic) == old + new


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_topic_recreated_after_another_instance_took_over(delivery, source, target, bridge, unique):
    """Who took over has copied nothing, and knows the topic by the record before its position."""
    topic, name = source.create_topic(unique()), unique("p")
    config = configuration(source, target, {name: pipeline(topic, delivery=delivery)},
                           instance=None)
    first, second = bridge(config), bridge(config)
    old = [b"old %d" % i for i in range(100)]
    source.produce(topic, old)
    first.until_caught_up()
    second.until_caught_up()
    source.delete_topic(topic)
    source.create_topic(topic)
    source.produce(topic, [b"new %d" % i for i in range(500)])
    done = second.until_caught_up(expect=None)
    assert done.status != 0
    assert "the record at offset 99 is not the one that was copied" in done.text
    assert target.values(topic) == old


def test_topic_recreated_under_a_running_bridge(source, target, bridge, unique):
    topic = source.create_topic(unique())
    made = bridge(run_config(source, target, unique, topic, "earliest")).start()
    old = [b"old %d" % i for i in range(100)]
    source.produce(topic, old)
    wait_until(lambda: topic in target.topics() and target.count(topic) == 100, 30, "the old records")
    source.delete_topic(topic)
    source.create_topic(topic)
    new = [b"new %d" % i for i in range(500)]
    source.produce(topic, new)
    wait_until(lambda: target.count(topic) >= 600, 60, "the new records from their start")
    assert target.values(topic) == old + new
    assert made.terminate() == 0


def test_a_missing_checkpoint_never_starts_at_the_end(source, target, bridge, unique):
    topic = source.create_topic(unique())
    source.produce(topic, [b"%d" % i for i in range(10)])
    bridge(configuration(source, target, {unique("p"): pipeline(topic)})).until_caught_up()
    assert target.values(topic) == [b"%d" % i for i in range(10)]
