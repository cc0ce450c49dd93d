"""How much memory one long document takes, at its peak, in a process that does nothing else.

A quarter of what is promised of 20,000 lines and 16 MB, for a quarter of them: it grows in a straight line.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clearfacts_assets_tests.fixtures.ubl_documents import document

LINES, BYTES = 5_000, 4_000_000
# MiB. A process that is ready, and has done nothing yet, has about a hundred; the one that hands a document over, 45.
MOST_GROWN = (265 - 100) / 4

PEAK = """
import sys
from pathlib import Path
from clearfacts_assets.invoices.validation.inspection import Inspector, Plan

def told(name):
    return int(Path("/proc/self/status").read_text().split(name)[1].split()[0]) / 1024

inspector = Inspector(Plan())
inspector.warm()
inspector.inspect(Path(sys.argv[1]).read_bytes())
before = told("VmRSS:")
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
report = inspector.inspect(Path(sys.argv[2]).read_bytes())
print(report.decision.value, len(report.findings), told("VmHWM:") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux, which tells a process's peak")
def test_a_document_of_20000_lines_and_16_megabytes_is_validated_in_less_than_300_mebibytes(tmp_path: Path) -> None:
    small, long = tmp_path / "small.xml", tmp_path / "long.xml"
    small.write_bytes(document())
    text = document(lines=LINES)
    note = f"</cbc:ID><cbc:Note>{'n' * ((BYTES - len(text)) // LINES - 22)}</cbc:Note><cbc:InvoicedQuantity"
    long.write_bytes(text.replace(b"</cbc:ID><cbc:InvoicedQuantity", note.encode()))
    done = subprocess.run([sys.executable, "-c", PEAK, small, long], capture_output=True, text=True, check=True)
    decision, findings, grown = done.stdout.split()
    assert (decision, int(findings)) == ("accept", 0)
    assert float(grown) < MOST_GROWN
