#!/usr/bin/env bash
# Guess: a key goes to the same partition of a Kafka topic, whichever client writes it.
# Truth: confluent-kafka (librdkafka) takes CRC32, aiokafka murmur2 as in Java: of six robots' keys and four partitions, four differ.
# Why it matters: order is kept within a partition only. A service in Java or aiokafka and one with confluent-kafka that write for one robot
# lose the order of its events, and joins over partitions miss, with no error anywhere. Set partitioner=murmur2_random in librdkafka.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q confluent-kafka==2.16.1 aiokafka==0.14.0
cat >ask.py <<'P'
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Producer

KEYS = [f"robot-{number}".encode() for number in range(6)]


def partitions(**settings):
    """Where librdkafka writes, to the broker that it has inside for tests: its topics have four partitions."""
    found = {}
    producer = Producer({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0, **settings})
    for key in KEYS:
        producer.produce("fleet", b"x", key=key, on_delivery=lambda _, sent: found.update({sent.key(): sent.partition()}))
    assert producer.flush(20) == 0
    assert len(producer.list_topics("fleet", timeout=10).topics["fleet"].partitions) == 4
    return [found[key] for key in KEYS]


murmur2 = DefaultPartitioner()
print("confluent", *partitions())
print("aiokafka", *(murmur2(key, [0, 1, 2, 3], [0, 1, 2, 3]) for key in KEYS))
print("confluent-murmur2", *partitions(partitioner="murmur2_random"))
P
seen=$(v/bin/python ask.py 2>/dev/null)
echo "confluent-kafka 2.16.1 and aiokafka 0.14.0, partitions of robot-0 to robot-5:"
echo "$seen"
[ "$seen" = "confluent 0 2 0 2 1 3
aiokafka 2 2 1 0 1 2
confluent-murmur2 2 2 1 0 1 2" ]
