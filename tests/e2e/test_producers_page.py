"""What the producers' page says of each action, sent to a running worker."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

from attune.events.v1.shopper_event_pb2 import ShopperEvent

from tests.profile_events import Event, event
from tests.stack import run_worker
from tests.waiting import eventually
from tests.worker_kafka import group_of, now, profiles_as_the_oracle_says, send

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/producers.md").read_text()
ACTION = re.compile(r"^\| `(\w+)` \| [^|]+ \| `(\{.*\})` \|$", re.MULTILINE)


def of_the_page(shop_id: str) -> list[Event]:
    """The page's whole event and one of each action of its table, as of now."""
    (whole,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    head = event(0, at=now(), user="841", visitorId="b-77", shopId=shop_id)
    made = [{**json.loads(whole), "shopId": shop_id, "occurredAt": head["occurredAt"]}]
    for name, action in ACTION.findall(PAGE):
        made.append({**head, "eventId": name, **json.loads(action)})
        assert name in made[-1]
    return made


def test_every_action_of_the_contract_is_on_the_page() -> None:
    """Under the name that JSON has for it."""
    actions = ShopperEvent.DESCRIPTOR.oneofs_by_name["action"].fields
    assert [name for name, _ in ACTION.findall(PAGE)] == [field.json_name for field in actions]


def test_every_code_of_a_refusal_is_on_the_page() -> None:
    """Those that the judging code gives."""
    sources = [path.read_text() for path in (ROOT / "services/shared").glob("event_*.py")]
    given = {code for text in sources for code in re.findall(r'EventRefused\(\s*"(\w+)"', text)}
    assert given == set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE))


def test_the_pages_events_are_in_the_profile_and_a_wrong_one_in_dead_letters(
    tmp_path: Path, kafka_servers: str, redis_url: str, topic_prefix: str, shop_id: str
) -> None:
    """All actions are folded; the example that prints dead letters shows which event it was."""
    told = {"KAFKA_SERVERS": kafka_servers, "TOPIC_PREFIX": topic_prefix, "REDIS_URL": redis_url}
    events = of_the_page(shop_id)
    wrong = {**events[0], "eventId": "wrong", "userId": "841", "purchase": {"orderId": "A-1"}}
    group = {"GROUP": group_of(topic_prefix)}
    with run_worker({**told, **group}, tmp_path / "log") as worker:
        asyncio.run(send(kafka_servers, topic_prefix, [*events, wrong]))
        accepted = 'events_total{outcome="accepted"}'
        eventually(lambda: worker.metric(accepted) == len(events), within=60)
        refused = 'events_total{outcome="EVENT_INVALID"}'
        eventually(lambda: worker.metric(refused) == 1, within=60)
    assert asyncio.run(profiles_as_the_oracle_says(redis_url, events))
    script = str(ROOT / "docs/examples/dead_letters.py")
    done = subprocess.run(
        [sys.executable, script, kafka_servers, shop_id, topic_prefix + "dead-letters"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith(f"EVENT_INVALID: {topic_prefix}shopper-events, partition ")
    assert json.dumps(wrong) in done.stdout
