import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** A bank client in Java: kafka-clients and Apache Avro, with the framing by hand. What it does is in ../run.sh. */
public class Client {
    private static final String KAFKA = System.getenv("KAFKA_BOOTSTRAP");
    private static final String REGISTRY = System.getenv("REGISTRY_URL");
    private static final String SCHEMAS = System.getenv("SCHEMAS");
    private static final String TOPICS = System.getenv("TOPICS");
    private static final int REPLY_PARTITION = 0;
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private static final HttpClient HTTP = HttpClient.newHttpClient();
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Map<Integer, Schema> WRITERS = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "publish" -> publish();
            case "events" -> events(Integer.parseInt(arguments[1]));
            default -> balances(Integer.parseInt(arguments[1]));
        }
    }

    private static String ask(HttpRequest.Builder request) throws IOException, InterruptedException {
        HttpResponse<String> answer = HTTP.send(request.build(), HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IOException(answer.uri() + ": " + answer.statusCode() + " " + answer.body());
        }
        return answer.body();
    }

    /** The schema that a value was written with, by its id. */
    private static Schema writer(int id) throws Exception {
        Schema known = WRITERS.get(id);
        if (known == null) {
            String answer = ask(HttpRequest.newBuilder(URI.create(REGISTRY + "/schemas/ids/" + id)));
            known = new Schema.Parser().parse(JSON.readTree(answer).get("schema").asText());
            WRITERS.put(id, known);
        }
        return known;
    }

    private static GenericRecord read(byte[] value) throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(value);
        if (bytes.get() != 0) {
            throw new IOException("not the wire format");
        }
        Schema schema = writer(bytes.getInt());
        return new GenericDatumReader<GenericRecord>(schema)
            .read(null, DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null));
    }

    /** A record's committed schema with the id that it has in the commands topic's subject (TopicRecordNameStrategy). */
    private record Registered(Schema schema, int id) {
        static Registered of(String name) throws Exception {
            String text = Files.readString(Path.of(SCHEMAS, name, "1.avsc"));
            String body = JSON.writeValueAsString(Map.of("schema", text));
            URI subject = URI.create(REGISTRY + "/subjects/" + TOPICS + ".commands-" + name + "/versions");
            String answer = ask(HttpRequest.newBuilder(subject)
                .header("content-type", "application/vnd.schemaregistry.v1+json")
                .POST(HttpRequest.BodyPublishers.ofString(body)));
            return new Registered(new Schema.Parser().parse(text), JSON.readTree(answer).get("id").asInt());
        }

        byte[] write(long cents) throws IOException {
            GenericRecord record = new GenericData.Record(schema);
            record.put("cents", cents);
            ByteArrayOutputStream into = new ByteArrayOutputStream();
            into.write(ByteBuffer.allocate(5).put((byte) 0).putInt(id).array());
            BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(into, null);
            new GenericDatumWriter<GenericRecord>(schema).write(record, encoder);
            encoder.flush();
            return into.toByteArray();
        }
    }

    private static KafkaConsumer<String, byte[]> consumer() {
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", KAFKA, "isolation.level", "read_committed", "enable.auto.commit", false);
        return new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer());
    }

    private static void publish() throws Exception {
        Map<String, Registered> schemas =
            Map.of("Deposit", Registered.of("bank.account.Deposit"), "Withdraw", Registered.of("bank.account.Withdraw"));
        TopicPartition replies = new TopicPartition(TOPICS + ".replies", REPLY_PARTITION);
        Map<String, Object> settings = Map.of("bootstrap.servers", KAFKA, "acks", "all");
        try (KafkaProducer<String, byte[]> producer =
                 new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer());
             KafkaConsumer<String, byte[]> answers = consumer()) {
            answers.assign(List.of(replies));
            answers.seekToEnd(List.of(replies));
            answers.position(replies);
            Bank bank = new Bank(producer, answers, schemas);
            for (int number = 0; number < 8; number++) {
                String account = "java-" + number;
                String first = UUID.randomUUID().toString();
                bank.ask(account, "Deposit", 1000 + number, first, null).check("accepted", 1);
                bank.ask(account, "Withdraw", 300, null, 1L).check("accepted", 2);
                Answer refused = bank.ask(account, "Withdraw", 1_000_000, null, null);
                refused.check("refused", 2);
                String detail = refused.record().get("detail").toString();
                if (JSON.readTree(detail).get("Insufficient").get("balance_cents").asLong() != 700 + number) {
                    throw new IOException("" + refused);
                }
                bank.ask(account, "Withdraw", 1, null, 0L).check("conflict", 2);
                bank.ask(account, "Deposit", 1000 + number, first, null).check("accepted", 1);
            }
        }
        System.err.println("java: 40 commands were answered as they should be");
    }

    private record Answer(GenericRecord record) {
        void check(String code, long version) throws IOException {
            if (!record.get("code").toString().equals(code) || (long) record.get("version") != version) {
                throw new IOException("expected " + code + " with version " + version + ": " + record);
            }
        }
    }

    /** Sends commands and waits for their answers. */
    private record Bank(
        KafkaProducer<String, byte[]> producer,
        KafkaConsumer<String, byte[]> answers,
        Map<String, Registered> schemas) {

        Answer ask(String account, String record, long cents, String id, Long expected) throws Exception {
            String command = id == null ? UUID.randomUUID().toString() : id;
            byte[] value = schemas.get(record).write(cents);
            ProducerRecord<String, byte[]> message = new ProducerRecord<>(TOPICS + ".commands", account, value);
            message.headers().add("ce_id", bytes(command)).add("reply-to", bytes("" + REPLY_PARTITION));
            if (expected != null) {
                message.headers().add("expected-version", bytes("" + expected));
            }
            producer.send(message).get();
            long end = System.nanoTime() + PATIENCE.toNanos();
            while (System.nanoTime() < end) {
                for (ConsumerRecord<String, byte[]> answer : answers.poll(Duration.ofSeconds(1))) {
                    if (answer.key().equals(command)) {
                        return new Answer(read(answer.value()));
                    }
                }
            }
            throw new IOException("no answer to " + record + " of " + account + " in " + PATIENCE);
        }

        private static byte[] bytes(String text) {
            return text.getBytes(StandardCharsets.UTF_8);
        }
    }

    private record Account(long balance, long version) {}

    private interface Take {
        void event(String account, long version, GenericRecord event) throws IOException;
    }

    /** Reads so many events from the beginning. */
    private static void read(int events, Take take) throws Exception {
        try (KafkaConsumer<String, byte[]> reader = consumer()) {
            List<TopicPartition> places = reader.partitionsFor(TOPICS + ".events").stream()
                .map(found -> new TopicPartition(found.topic(), found.partition())).toList();
            reader.assign(places);
            reader.seekToBeginning(places);
            long end = System.nanoTime() + PATIENCE.toNanos();
            int seen = 0;
            while (seen < events) {
                if (System.nanoTime() > end) {
                    throw new IOException(seen + " of " + events + " events in " + PATIENCE);
                }
                for (ConsumerRecord<String, byte[]> message : reader.poll(Duration.ofSeconds(1))) {
                    seen++;
                    long version = ByteBuffer.wrap(message.headers().lastHeader("factum").value()).getLong(2);
                    take.event(message.key(), version, read(message.value()));
                }
            }
        }
    }

    /** Every event: account, version, name, cents. */
    private static void events(int events) throws Exception {
        read(events, (account, version, event) -> System.out.println(
            account + " " + version + " " + event.getSchema().getName() + " " + event.get(0)));
    }

    /** Every account with its balance and version, folded from so many events. */
    private static void balances(int events) throws Exception {
        TreeMap<String, Account> accounts = new TreeMap<>();
        read(events, (name, version, event) -> {
            Account account = accounts.getOrDefault(name, new Account(0, 0));
            if (version != account.version + 1) {
                throw new IOException("version " + account.version + " is followed by " + version + " of " + name);
            }
            int sign = event.getSchema().getName().equals("Deposited") ? 1 : -1;
            accounts.put(name, new Account(account.balance + sign * (long) event.get("cents"), version));
        });
        accounts.forEach((name, account) -> System.out.println(name + " " + account.balance + " " + account.version));
    }
}
