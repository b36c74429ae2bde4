"""What can be wrong with data, checkpoints and bundles that are made here."""

from __future__ import annotations

import tokenize
import zipfile
from typing import Final

from services.shared.errors import AttuneError, BadInput

UNREADABLE: Final = (
    ValueError,
    OSError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)
"""What reading a damaged file of arrays can raise."""


class DataRefused(BadInput):
    """A data file, a prepared folder or a checkpoint cannot be used; says which and why."""

    code = "DATA_REFUSED"


class ParityBroken(AttuneError):
    """The exported graph computes something else than the model it was made of."""

    code = "PARITY_BROKEN"


class ReportWrong(AttuneError):
    """A bundle's report says something else than an evaluation of the bundle."""

    code = "REPORT_WRONG"


class BundleNotWritten(AttuneError):
    """The disk is full or may not be written; the bundle that was there is as it was."""

    code = "BUNDLE_NOT_WRITTEN"


class CheckpointNotWritten(AttuneError):
    """The disk is full or may not be written; the checkpoint that was there is as it was."""

    code = "CHECKPOINT_NOT_WRITTEN"


class CheckUnusable(AttuneError):
    """A check that was plugged in cannot be loaded, or fails; nothing is promoted by it."""

    code = "CHECK_UNUSABLE"
