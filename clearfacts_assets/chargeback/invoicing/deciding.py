"""What has to be sent for a statement, decided from all that was sent before and from the version that stands now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from clearfacts_assets.chargeback.invoicing.model import Document


def due_documents(sent: Sequence[Document], now: Document | None, today: date) -> list[Document]:
    """The documents that are missing: what no longer stands is taken back as a whole by a document that names it, then
    what stands now is asked for. Nothing where what stands was sent. ``sent`` are in their order."""
    taken_back = {one.names for one in sent if one.names}
    standing = [one for one in sent if not one.names and one.number not in taken_back]
    found = [one.taken_back(f"{one.number}C", today) for one in standing if now is None or one.number != now.number]
    known = {one.number for one in sent}
    if now is not None and now.number not in known and now.net:
        found.append(now)
    return found
