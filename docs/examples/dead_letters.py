"""Print a shop's refused events: dead_letters.py SERVERS SHOP [TOPIC]."""

import sys

from kafka import KafkaConsumer, TopicPartition

servers, shop = sys.argv[1:3]
told = {"bootstrap_servers": servers, "auto_offset_reset": "earliest"}
letters = KafkaConsumer(
    "".join(sys.argv[3:]) or "dead-letters",
    consumer_timeout_ms=5_000,  # then no more comes
    **told,
)
events = KafkaConsumer(consumer_timeout_ms=5_000, **told)
for letter in letters:
    about = {name: (text or b"").decode(errors="replace") for name, text in letter.headers}
    if about.get("attune_shop_id") != shop:
        continue
    topic, partition = about["attune_topic"], int(about["attune_partition"])
    offset = int(about["attune_offset"])
    print(f"{about['attune_error_code']}: {topic}, partition {partition}, offset {offset}")
    events.assign([TopicPartition(topic, partition)])
    events.seek(TopicPartition(topic, partition), offset)
    event = next(events, None)
    if event is not None and event.offset == offset:  # the topic still has it
        print(f"  {event.key} {event.value}")
