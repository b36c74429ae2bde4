"""A check of one's own that lets no bundle through."""

from __future__ import annotations

from model_export.gate.comparison import Comparison
from model_export.gate.verdict import REFUSED, Verdict


class Never:
    """Refuses whatever it is asked."""

    name = "never"

    def judge(self, comparison: Comparison) -> Verdict:
        """See :class:`model_export.gate.verdict.Check`."""
        return Verdict(
            self.name,
            REFUSED,
            f"Nothing is better than {comparison.current.bundle.manifest.version}.",
        )
