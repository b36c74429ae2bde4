"""Send an order as JSON with kafka-python: kafka_python.py SERVERS [TOPIC]."""

import json
import sys
import uuid
from datetime import UTC, datetime

from kafka import KafkaProducer

servers, topic = sys.argv[1], "".join(sys.argv[2:]) or "shopper-events"
event = {
    "eventId": str(uuid.uuid4()),  # kept with the order, so that a retry repeats it
    "shopId": "demo",
    "userId": "841",
    "occurredAt": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    "purchase": {
        "orderId": "A-1001",
        "lines": [
            {
                "productId": "1041453",
                "quantity": 2,
                "unitPrice": {"currencyCode": "USD", "units": "1", "nanos": 500_000_000},
            }
        ],
    },
}
producer = KafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)
sent = producer.send(topic, key=b"demo/u:841", value=json.dumps(event).encode())
print(sent.get(timeout=30))
producer.close(timeout=30)
