import java.time.Instant;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Sends something put into the cart, as JSON: java -cp kafka-clients.jar Send.java SERVERS [TOPIC] */
public final class Send {
  public static void main(String[] told) throws Exception {
    String event =
        """
        {"eventId": "%s", "shopId": "demo", "userId": "841", "occurredAt": "%s",
         "addToCart": {"productId": "1041453", "quantity": 2}}"""
            .formatted(UUID.randomUUID(), Instant.now());
    Map<String, Object> settings =
        Map.of("bootstrap.servers", told[0], "acks", "all", "enable.idempotence", true);
    String topic = told.length > 1 ? told[1] : "shopper-events";
    try (var producer =
        new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
      System.out.println(producer.send(new ProducerRecord<>(topic, "demo/u:841", event)).get());
    }
  }
}
