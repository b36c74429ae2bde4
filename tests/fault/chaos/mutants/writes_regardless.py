"""A worker that writes profiles whatever has become of what it read."""

from __future__ import annotations

import hashlib

from services.profiles.__main__ import main
from services.shared import profile_store

WITHOUT_COMPARING = """
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1
"""


def write_regardless() -> None:
    """Have the store of this process use a script that compares nothing."""
    profile_store.COMPARE_AND_SET = WITHOUT_COMPARING  # type: ignore[misc]  # that is the mistake
    digest = hashlib.sha1(WITHOUT_COMPARING.encode(), usedforsecurity=False).hexdigest()
    profile_store._SHA = digest  # type: ignore[misc]  # as above


if __name__ == "__main__":
    write_regardless()
    raise SystemExit(main())
