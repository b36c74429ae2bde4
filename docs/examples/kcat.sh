#!/bin/sh
# Send a view with kcat: kcat.sh SERVERS [TOPIC]
set -eu
event=$(printf '{"eventId": "%s", "shopId": "demo", "userId": "841", "occurredAt": "%s", %s}' \
    "$(cat /proc/sys/kernel/random/uuid)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    '"view": {"productId": "1041453"}')
printf 'demo/u:841\t%s\n' "$event" |
    kcat -P -b "$1" -t "${2:-shopper-events}" -K '\t' \
        -X partitioner=murmur2_random -X enable.idempotence=true
