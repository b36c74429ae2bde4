"""What every demo does around its steps: start clean, stay up or not, stop everything."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from deploy.local.demo.narration import Narrator
from deploy.local.kept import forget_data
from deploy.local.stack import Stack
from deploy.local.state import record_also, running
from deploy.local.supervised import StackFailed


class DemoFailed(StackFailed):
    """What a demo says that it will show did not happen."""


def promise(is_kept: object, sentence: str) -> None:
    """Raise DemoFailed with the sentence, unless what was said has come true."""
    if not is_kept:
        raise DemoFailed(sentence)


def perform(
    stack: Stack, folder: Path, narrator: Narrator, *, once: bool, steps: Callable[[], None]
) -> bool:
    """Forget an earlier run, do all steps; then stop everything, or stay up until Ctrl-C.

    ``steps`` starts the stack. False where it was told to stop before the last of them. Raises
    StackFailed.
    """
    narrator.say(f"A demo starts clean: what an earlier one kept in {shown(folder)} is removed.")
    forget_data(folder)
    is_done = False
    try:
        steps()
        is_done = True
        if not once:
            record_also(folder, running("demo", os.getpid()))  # so that `make down` ends it, too
            narrator.say("\nEverything stays up until Ctrl-C here, or `make down` elsewhere.")
            signal.pause()
    except KeyboardInterrupt:
        narrator.say("\nstopping")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # stopping has its own deadlines
        stack.stop()
    return is_done


def shown(path: Path) -> Path:
    """As short as it can be typed here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
