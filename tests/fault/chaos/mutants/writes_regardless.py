"""A worker that writes profiles whatever has become of what it read."""

from __future__ import annotations

import hashlib

from services.profiles.__main__ import main
from services.shared import profile_store

WITHOUT_COMPARING = """
local done = {}
for i = 1, #KEYS / 2 do
  redis.call('SET', KEYS[i], ARGV[3 * i + 1], 'PX', ARGV[1])
  done[i] = 1
end
return done
"""


def write_regardless() -> None:
    """Have the store of this process use a script that compares nothing."""
    profile_store.COMPARE_AND_SET = WITHOUT_COMPARING  # type: ignore[misc]  # that is the mistake
    digest = hashlib.sha1(WITHOUT_COMPARING.encode(), usedforsecurity=False).hexdigest()
    profile_store._SHA = digest  # type: ignore[misc]  # as above


if __name__ == "__main__":
    write_regardless()
    raise SystemExit(main())
