"""A record as a foreign client sees it, and reading a whole topic."""

import dataclasses

import kafka

CREATE_TIME, LOG_APPEND_TIME = 0, 1


@dataclasses.dataclass(frozen=True)
class Record:
    """Every field of a Kafka record. None is null, b"" is empty, for key, value and header values."""

    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    def content(self):
        """What must arrive as it left: all but the offset."""
        return dataclasses.replace(self, offset=-1)


def read_all(bootstrap, topic, isolation="read_committed", timeout=30.0):
    """Reads a topic from its start to its end as of now, with kafka-python.

    Returns {partition: [Record, ...]}, in offset order, every partition present.
    """
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False,
        auto_offset_reset="none", isolation_level=isolation, fetch_max_wait_ms=100,
        max_partition_fetch_bytes=16 << 20, fetch_max_bytes=64 << 20, max_poll_records=10_000,
        check_crcs=True,
    )
    try:
        partitions = sorted(consumer.partitions_for_topic(topic) or ())
        if not partitions:
            raise LookupError(f"no topic {topic}")
        wanted = [kafka.TopicPartition(topic, p) for p in partitions]
        starts, ends = consumer.beginning_offsets(wanted), consumer.end_offsets(wanted)
        found = {p: [] for p in partitions}
        consumer.assign(wanted)
        for partition in wanted:
            consumer.seek(partition, starts[partition])
        waiting = {p for p in wanted if starts[p] < ends[p]}
        silent = 0.0
        while waiting:
            batches = consumer.poll(timeout_ms=200)
            for partition, records in batches.items():
                found[partition.partition].extend(
                    Record(r.partition, r.offset, r.timestamp, r.timestamp_type, r.key, r.value,
                           tuple((name, value) for name, value in r.headers))
                    for r in records if r.offset < ends[partition])
            waiting = {p for p in waiting if consumer.position(p) < ends[p]}
            silent = 0.0 if batches else silent + 0.2
            if silent > timeout:
                raise TimeoutError(f"{topic}: nothing for {timeout} s, still short in {waiting}")
        return found
    finally:
        consumer.close()
