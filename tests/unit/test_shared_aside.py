"""Work in a thread beside the event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from services.shared.aside import Aside

SECONDS = 10.0


async def test_what_the_job_answers_or_raises() -> None:
    """It comes back as if it had been called, from another thread."""
    aside = Aside("test")
    main = threading.get_ident()
    assert await aside.do(threading.get_ident, within=SECONDS) != main

    def fail() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        await aside.do(fail, within=SECONDS)
    assert await aside.do(lambda: 7, within=SECONDS) == 7


async def test_a_job_that_does_not_come_back() -> None:
    """The caller waits no longer than it said; the next is refused until the thread is back."""
    aside, hold = Aside("test"), threading.Event()
    with pytest.raises(TimeoutError):
        await aside.do(hold.wait, within=0.01)
    with pytest.raises(TimeoutError, match="has not come back"):
        await aside.do(lambda: 1, within=SECONDS)
    hold.set()
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                assert await aside.do(lambda: 2, within=SECONDS) == 2
                return
            except TimeoutError:
                await asyncio.sleep(0)


def test_a_process_ends_without_waiting_for_it() -> None:
    """A store that hangs does not hold up a stop."""
    code = (
        "import asyncio, threading\n"
        "from services.shared.aside import Aside\n"
        "async def main():\n"
        "    try:\n"
        "        await Aside('test').do(threading.Event().wait, within=0.01)\n"
        "    except TimeoutError:\n"
        "        print('gone')\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "gone"
