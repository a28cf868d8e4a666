"""Documents in passing, of which the broken ones are left out, counted and named."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from whitebox_transformers.data.faults import FEWEST_JUDGED, Tolerance, judge_passing
from whitebox_transformers.data.text.documents import BadDocument, Document, DocumentSource, read

logger = logging.getLogger(__name__)


@dataclass
class Sieve:
    """The documents of a source that are text, already read.

    Raises:
        UserError: While they pass: the share of broken ones is above ``data.max_bad``.
    """

    source: DocumentSource
    data: Tolerance
    named: set[str] = field(default_factory=set)
    """Broken documents that were reported, each once however often they pass."""

    def documents(self, seed: int | None) -> Iterator[Document]:
        met, broken, last = 0, 0, None
        for met, document in enumerate(self.source.documents(seed), start=1):
            try:
                text = read(document)
            except BadDocument as fault:
                broken, last = broken + 1, fault
                self._report(fault)
                judge_passing(broken, max(met, FEWEST_JUDGED), self.data, "documents", fault)
                continue
            yield document._replace(content=text.text)
        judge_passing(broken, met, self.data, "documents", last)

    def _report(self, fault: BadDocument) -> None:
        if fault.name not in self.named:
            self.named.add(fault.name)
            logger.warning("skipped broken document %d: %s", len(self.named), fault)
