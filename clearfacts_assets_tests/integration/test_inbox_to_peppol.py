"""A company without ERP and Clearfacts: a real run takes what senders dropped to its access point's folder."""

from __future__ import annotations

import os
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy import update

from clearfacts_assets.invoices.days import ZONE
from clearfacts_assets.storage.invoices.tables import Delivery
from clearfacts_assets_tests.fixtures.pipeline import Pipeline
from clearfacts_assets_tests.fixtures.ubl_documents import document

GOOD = document(number="F-1")


def test_what_is_dropped_is_handed_over_once_and_each_refusal_is_told(quick_pipeline: Pipeline, tmp_path: Path) -> None:
    inbox, outbound, file = tmp_path / "inbox", tmp_path / "outbound", tmp_path / "inbox" / "november.zip"
    inbox.mkdir()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("F-1.xml", GOOD)
        made.writestr("notes.docx", b"...")
    os.utime(file, (file.stat().st_mtime - 3600,) * 2)
    quick_pipeline.configure(
        SOURCE__KIND="inbox",
        SOURCE__FOLDER=inbox,
        DESTINATION__TRANSPORT="peppol_folder",
        DESTINATION__FOLDER=outbound,
    )
    today = datetime.fromtimestamp(file.stat().st_ctime, UTC).astimezone(ZONE).date().isoformat()
    away = quick_pipeline.run(today)
    assert {name: row.status for name, row in away.rows.items()} == {
        "november.zip/F-1.xml": "pending",
        "november.zip/notes.docx": "failed",
    }
    assert away.message.startswith("Delivery stopped: Peppol is to be tried again in 1 s")
    assert "check destination.folder" in away.reasons["november.zip/F-1.xml"]
    assert ".docx is not taken" in away.reasons["november.zip/notes.docx"]

    assert "Clearfacts" not in repr((away.message, away.reasons, away.rows))

    outbound.mkdir()
    with quick_pipeline.engine.begin() as connection:
        connection.execute(update(Delivery).values(not_before=None))  # as if the pause were over
    due = quick_pipeline.run(today, job="delivery_of_what_is_due")
    assert due.rows["november.zip/F-1.xml"].status == "sent"
    name = f"{sha256(GOOD).hexdigest()}.xml"
    assert [path.name for path in outbound.glob("*") if path.is_file()] == [name]
    (outbound / name).unlink()  # the access point has taken it

    again = quick_pipeline.run(today)
    assert again.rows["november.zip/F-1.xml"].status == "duplicate"
    assert [path.name for path in outbound.glob("*.xml")] == []
