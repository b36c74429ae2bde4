// Sends a click with CloudEvents headers, by KafkaJS: node send.mjs SERVERS [TOPIC]
import { randomUUID } from "node:crypto";
import { Kafka, Partitioners } from "kafkajs";

const [servers, topic = "shopper-events"] = process.argv.slice(2);
const producer = new Kafka({ brokers: servers.split(",") }).producer({
  createPartitioner: Partitioners.DefaultPartitioner, // murmur2, as Kafka's own client
  idempotent: true,
});
await producer.connect();
const [sent] = await producer.send({
  topic,
  acks: -1,
  messages: [
    {
      key: "demo/u:841",
      value: JSON.stringify({
        shopId: "demo",
        userId: "841",
        click: { productId: "1041453" },
      }),
      headers: {
        "content-type": "application/json",
        ce_specversion: "1.0",
        ce_type: "attune.events.v1.ShopperEvent",
        ce_source: "/shop/web",
        ce_id: randomUUID(), // stands for eventId
        ce_time: new Date().toISOString(), // stands for occurredAt
      },
    },
  ],
});
console.log(`partition ${sent.partition}, offset ${sent.baseOffset}`);
await producer.disconnect();
