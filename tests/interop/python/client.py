"""A bank client in Python: confluent-kafka with its own Avro serializers. What it does is in ../run.sh."""

import json
import os
import sys
import time
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

KAFKA, REGISTRY = os.environ["KAFKA_BOOTSTRAP"], os.environ["REGISTRY_URL"]
SCHEMAS, TOPICS = os.environ["SCHEMAS"], os.environ["TOPICS"]
REPLY_PARTITION = 1
PATIENCE_SECONDS = 60

registry = SchemaRegistryClient({"url": REGISTRY})
names = {"subject.name.strategy": topic_record_subject_name_strategy}
read_value = AvroDeserializer(registry)


def serializer(record):
    with open(f"{SCHEMAS}/{record}/1.avsc", encoding="utf-8") as file:
        return AvroSerializer(registry, file.read(), conf={**names, "auto.register.schemas": True})


def consumer(**more):
    # No group is joined and nothing is committed; the client wants a name all the same.
    return Consumer({"bootstrap.servers": KAFKA, "group.id": f"interop-{uuid.uuid4()}", "enable.auto.commit": False,
                     "isolation.level": "read_committed", **more})


class Bank:
    """Sends commands and waits for their answers."""

    def __init__(self):
        # Java's partitioner; librdkafka's own is another function.
        self.producer = Producer({"bootstrap.servers": KAFKA, "partitioner": "murmur2_random", "enable.idempotence": True})
        self.write = {record: serializer(f"bank.account.{record}") for record in ("Deposit", "Withdraw")}
        self.answers = consumer()
        place = TopicPartition(f"{TOPICS}.replies", REPLY_PARTITION)
        place.offset = self.answers.get_watermark_offsets(place, timeout=PATIENCE_SECONDS)[1]
        self.answers.assign([place])

    def ask(self, account, record, cents, command=None, expected=None):
        command = command or str(uuid.uuid4())
        headers = {"ce_id": command, "reply-to": str(REPLY_PARTITION)}
        if expected is not None:
            headers["expected-version"] = str(expected)
        topic = f"{TOPICS}.commands"
        value = self.write[record]({"cents": cents}, SerializationContext(topic, MessageField.VALUE))
        self.producer.produce(topic, key=account, value=value, headers=headers)
        self.producer.flush()
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            message = self.answers.poll(1)
            if message is None or message.key().decode() != command:
                continue
            if message.error():
                raise RuntimeError(message.error())
            return read_value(message.value(), SerializationContext(message.topic(), MessageField.VALUE))
        raise RuntimeError(f"no answer to {record} of {account} in {PATIENCE_SECONDS} seconds")


def check(answer, code, version):
    if (answer["code"], answer["version"]) != (code, version):
        raise RuntimeError(f"expected {code} with version {version}: {answer}")


def publish():
    bank = Bank()
    for number in range(8):
        account, first = f"python-{number}", str(uuid.uuid4())
        check(bank.ask(account, "Deposit", 1000 + number, command=first), "accepted", 1)
        check(bank.ask(account, "Withdraw", 300, expected=1), "accepted", 2)
        refused = bank.ask(account, "Withdraw", 1_000_000)
        check(refused, "refused", 2)
        assert json.loads(refused["detail"])["Insufficient"]["balance_cents"] == 700 + number, refused
        check(bank.ask(account, "Withdraw", 1, expected=0), "conflict", 2)
        check(bank.ask(account, "Deposit", 1000 + number, command=first), "accepted", 1)
    print("python: 40 commands were answered as they should be", file=sys.stderr)
    use_registry()


def use_registry():
    """The serializer's own registration and look-up, and what else the library's registry client can do."""
    subject = f"{TOPICS}.python-{uuid.uuid4()}-python.Noted"
    first = {"type": "record", "name": "Noted", "namespace": "python", "fields": [{"name": "text", "type": "string"}]}
    more = {**first, "fields": [*first["fields"], {"name": "stars", "type": "int", "default": 0}]}
    breaking = {**first, "fields": [*first["fields"], {"name": "stars", "type": "int"}]}
    schema, grown, broken = (Schema(json.dumps(record), "AVRO") for record in (first, more, breaking))
    named = {"subject.name.strategy": lambda *_: subject}
    context = SerializationContext("any", MessageField.VALUE)
    written = AvroSerializer(registry, schema, conf={**named, "auto.register.schemas": True})({"text": "a"}, context)
    # A client of its own has nothing in its cache: this one looks up, and registers nothing.
    other = SchemaRegistryClient({"url": REGISTRY})
    looked_up = {**named, "auto.register.schemas": False, "normalize.schemas": False}
    again = AvroSerializer(other, schema, conf=looked_up)({"text": "a"}, context)
    assert again == written and other.get_versions(subject) == [1], (again, written)
    assert AvroDeserializer(other)(written, context) == {"text": "a"}
    found = other.lookup_schema(subject, schema)
    assert (found.version, found.schema_id) == (1, int.from_bytes(written[1:5], "big")), found
    try:
        AvroSerializer(other, grown, conf=looked_up)({"text": "a", "stars": 1}, context)
        raise RuntimeError("a schema that nobody registered was found")
    except SchemaRegistryError as error:
        assert (error.http_status_code, error.error_code) == (404, 40403), error
    other.set_compatibility(subject, level="BACKWARD_TRANSITIVE")
    assert other.get_compatibility(subject) == "BACKWARD_TRANSITIVE"
    assert other.test_compatibility(subject, grown) and not other.test_compatibility(subject, broken)
    try:
        other.register_schema(subject, broken)
        raise RuntimeError("a breaking change was taken")
    except SchemaRegistryError as error:
        assert error.http_status_code == 409 and "stars" in error.error_message, error
    identity = other.register_schema(subject, grown)
    assert other.get_latest_version(subject).schema_id == identity != found.schema_id
    # What the first version wrote is read as the second.
    assert AvroDeserializer(other, grown)(written, context) == {"text": "a", "stars": 0}
    assert other.delete_subject(subject) == [1, 2] and subject not in other.get_subjects()
    print("python: its serializer registers and looks up through the registry", file=sys.stderr)


def balances(events):
    """Every account with its balance and version, folded from so many events."""
    topic = f"{TOPICS}.events"
    reader = consumer(**{"auto.offset.reset": "earliest"})
    partitions = reader.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions
    reader.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    accounts, seen, end = {}, 0, time.monotonic() + PATIENCE_SECONDS
    while seen < events:
        if time.monotonic() > end:
            raise RuntimeError(f"{seen} of {events} events in {PATIENCE_SECONDS} seconds")
        message = reader.poll(1)
        if message is None:
            continue
        if message.error():
            raise RuntimeError(message.error())
        seen += 1
        account = message.key().decode()
        balance, version = accounts.get(account, (0, 0))
        header = dict(message.headers())["factum"]
        if int.from_bytes(header[2:10], "big") != version + 1:
            raise RuntimeError(f"version {version} of {account} is followed by {header.hex()}")
        event = read_value(message.value(), SerializationContext(topic, MessageField.VALUE))
        record = registry.get_schema(int.from_bytes(message.value()[1:5], "big"))
        sign = 1 if json.loads(record.schema_str)["name"] == "Deposited" else -1
        accounts[account] = (balance + sign * event["cents"], version + 1)
    for account in sorted(accounts):
        print(account, *accounts[account])


if __name__ == "__main__":
    publish() if sys.argv[1] == "publish" else balances(int(sys.argv[2]))
