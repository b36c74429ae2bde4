"""Send a search as Protobuf with confluent-kafka: confluent_kafka_protobuf.py SERVERS [TOPIC]."""

import sys
import uuid

from attune.events.v1.shopper_event_pb2 import Search, ShopperEvent
from confluent_kafka import KafkaError, Message, Producer


def told(error: KafkaError | None, message: Message) -> None:
    """Say what became of the event."""
    print(error or f"partition {message.partition()}, offset {message.offset()}")


servers, topic = sys.argv[1], "".join(sys.argv[2:]) or "shopper-events"
event = ShopperEvent(event_id=str(uuid.uuid4()), shop_id="demo", visitor_id="b-77")
event.occurred_at.GetCurrentTime()
event.search.CopyFrom(Search(query="dog food", result_count=41))
producer = Producer(
    {
        "bootstrap.servers": servers,
        "enable.idempotence": True,
        "partitioner": "murmur2_random",  # librdkafka's own default is another
    }
)
producer.produce(
    topic,
    key="demo/v:b-77",
    value=event.SerializeToString(),
    headers={"content-type": "application/protobuf"},
    on_delivery=told,
)
raise SystemExit(producer.flush(30))
