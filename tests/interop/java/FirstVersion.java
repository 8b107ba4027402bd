import com.fasterxml.jackson.databind.ObjectMapper;
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
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A reader of the bank's events that was built when the bank was in its first version: it knows the first committed
 * schema of six records, and stops at any other record. It reads the topic of the transform `v1` to so many records,
 * and prints each of them: account, version, name, cents.
 */
public class FirstVersion {
    private static final String KAFKA = System.getenv("KAFKA_BOOTSTRAP");
    private static final String REGISTRY = System.getenv("REGISTRY_URL");
    private static final String SCHEMAS = System.getenv("SCHEMAS");
    private static final String TOPIC = System.getenv("TOPICS") + ".events.v1";
    private static final Duration PATIENCE = Duration.ofMinutes(5);
    private static final List<String> RECORDS = List.of("Deposited", "Withdrawn", "InterestCredited",
        "OverdraftInterestCharged", "FeeCharged", "OverdraftLimitSet");

    private static final HttpClient HTTP = HttpClient.newHttpClient();
    private static final Map<Integer, GenericDatumReader<GenericRecord>> READERS = new HashMap<>();
    private static final Map<String, Schema> KNOWN = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        for (String record : RECORDS) {
            String name = "bank.account." + record;
            KNOWN.put(name, new Schema.Parser().parse(Files.readString(Path.of(SCHEMAS, name, "1.avsc"))));
        }
        int records = Integer.parseInt(arguments[0]);
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", KAFKA, "isolation.level", "read_committed", "enable.auto.commit", false);
        try (KafkaConsumer<String, byte[]> consumer =
                 new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> places = consumer.partitionsFor(TOPIC).stream()
                .map(found -> new TopicPartition(found.topic(), found.partition())).toList();
            consumer.assign(places);
            consumer.seekToBeginning(places);
            long end = System.nanoTime() + PATIENCE.toNanos();
            Seen seen = new Seen();
            while (seen.count < records || !isAtTheEnd(consumer, places)) {
                if (System.nanoTime() > end) {
                    throw new IOException(seen.count + " of " + records + " records in " + PATIENCE);
                }
                for (ConsumerRecord<String, byte[]> message : consumer.poll(Duration.ofMillis(200))) {
                    seen.take(message);
                }
            }
            if (seen.count != records) {
                throw new IOException(seen.count + " records and not " + records);
            }
        }
    }

    /** Whether nothing follows that is committed. */
    private static boolean isAtTheEnd(KafkaConsumer<String, byte[]> consumer, List<TopicPartition> places) {
        return consumer.endOffsets(places).entrySet().stream()
            .allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
    }

    /** What was read so far. */
    private static class Seen {
        int count = 0;
        final Set<String> from = new HashSet<>();
        final Map<String, Long> versions = new HashMap<>();

        void take(ConsumerRecord<String, byte[]> message) throws Exception {
            GenericRecord event = read(message.value());
            String from = new String(message.headers().lastHeader("factum-from").value(), StandardCharsets.UTF_8);
            if (!this.from.add(from)) {
                throw new IOException(from + " was republished twice: " + message);
            }
            long version = ByteBuffer.wrap(message.headers().lastHeader("factum").value()).getLong(2);
            if (version <= versions.getOrDefault(message.key(), 0L)) {
                throw new IOException("version " + versions.get(message.key()) + " is followed by " + message);
            }
            versions.put(message.key(), version);
            System.out.println(
                message.key() + " " + version + " " + event.getSchema().getName() + " " + event.get("cents"));
            count++;
        }
    }

    private static GenericRecord read(byte[] value) throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(value);
        if (bytes.get() != 0) {
            throw new IOException("not the wire format");
        }
        return reader(bytes.getInt()).read(null, DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null));
    }

    /** From the schema that a value was written with, which the registry has, to the one of the first version. */
    private static GenericDatumReader<GenericRecord> reader(int id) throws Exception {
        GenericDatumReader<GenericRecord> reader = READERS.get(id);
        if (reader == null) {
            HttpResponse<String> answer = HTTP.send(
                HttpRequest.newBuilder(URI.create(REGISTRY + "/schemas/ids/" + id)).build(),
                HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200) {
                throw new IOException(answer.uri() + ": " + answer.statusCode() + " " + answer.body());
            }
            String text = new ObjectMapper().readTree(answer.body()).get("schema").asText();
            Schema writer = new Schema.Parser().parse(text);
            Schema known = KNOWN.get(writer.getFullName());
            if (known == null) {
                throw new IOException("the first version knows no " + writer.getFullName());
            }
            reader = new GenericDatumReader<>(writer, known);
            READERS.put(id, reader);
        }
        return reader;
    }
}
