"""Print a shop's dead letters: dead_letters.py SERVERS SHOP [TOPIC]."""

import sys

from kafka import KafkaConsumer

servers, shop = sys.argv[1:3]
letters = KafkaConsumer(
    "".join(sys.argv[3:]) or "dead-letters",
    bootstrap_servers=servers,
    auto_offset_reset="earliest",
    consumer_timeout_ms=5_000,  # no more comes
)
for letter in letters:
    if not (letter.key or b"").startswith(shop.encode() + b"/"):
        continue
    about = {name: text.decode(errors="replace") for name, text in letter.headers}
    where = "{attune_topic}, partition {attune_partition}, offset {attune_offset}".format(**about)
    print(f"{about['attune_error_code']}: {about['attune_error_reason']}  ({where})")
    print(f"  {letter.value.decode(errors='replace')}")
