"""A producer that sends exactly what it is told, over its own socket.

Ordinary clients refuse or alter what the bridge must be able to carry: timestamp 0, headers with a
null value or a NUL in their name, a record without key and value. Only the batch encoder is
kafka-python's; the request (Produce, version 3) is written here.
"""

import socket
import struct
import time

from kafka.record.default_records import DefaultRecordBatchBuilder

UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER = 3, 6


def _string(text):
    data = text.encode()
    return struct.pack(">h", len(data)) + data


class RawProducer:
    def __init__(self, host, port):
        self._socket = socket.create_connection((host, port), timeout=30)
        self._correlation = 0

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, topic, partition, records):
        """Sends one batch; each record is (timestamp, key, value, headers).

        Returns the offset of the first; raises OSError with Kafka's error code.
        """
        builder = DefaultRecordBatchBuilder(
            magic=2, compression_type=0, is_transactional=False, producer_id=-1,
            producer_epoch=-1, base_sequence=-1, batch_size=1 << 30)
        for index, (timestamp, key, value, headers) in enumerate(records):
            builder.append(index, timestamp, key, value, list(headers))
        batch = bytes(builder.build())
        deadline = time.monotonic() + 20
        while True:
            error, offset = self._produce(topic, partition, batch)
            if error == 0:
                return offset
            # A partition just created has no leader for a moment.
            if error not in (UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER) or time.monotonic() > deadline:
                raise OSError(error, f"Kafka refused the batch with error {error}")
            time.sleep(0.1)

    def _produce(self, topic, partition, batch):
        # no transaction, acks=all, 30 s, one topic, one partition
        body = (struct.pack(">hhii", -1, -1, 30_000, 1) + _string(topic)
                + struct.pack(">iii", 1, partition, len(batch)) + batch)
        answer = self._call(api=0, version=3, body=body)
        # responses(1) topic partitions(1): index, error, base offset
        after_name = 4 + 2 + len(topic.encode()) + 4
        _, error, offset = struct.unpack_from(">ihq", answer, after_name)
        return error, offset

    def _call(self, api, version, body):
        self._correlation += 1
        request = struct.pack(">hhi", api, version, self._correlation) + _string("raw") + body
        self._socket.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", self._read(4))
        answer = self._read(size)
        (correlation,) = struct.unpack_from(">i", answer)
        if correlation != self._correlation:
            raise OSError("answer to another request")
        return answer[4:]

    def _read(self, size):
        data = b""
        while len(data) < size:
            chunk = self._socket.recv(size - len(data))
            if not chunk:
                raise OSError("the broker closed the connection")
            data += chunk
        return data
