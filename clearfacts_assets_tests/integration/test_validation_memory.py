"""How much memory one long document takes, at its peak, in a process that does nothing else.

A quarter of what is promised of 20,000 lines and 16 MB, for a quarter of them: it grows in a straight line. What
Saxon takes does not grow with them, for it sees a part at a time.
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
SAXON = 150  # its library and memory, a part of the document and the rules in doubt; 45 and 75 more are less than 300
WRONG = {"one": 1, "all": LINES}

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

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux, which tells a process's peak"
)


def peak(folder: Path, wrong: int) -> tuple[str, int, float]:
    """Decision, findings and MiB more than before, of a document with a wrong unit on so many lines."""
    small, long = folder / "small.xml", folder / "long.xml"
    small.write_bytes(document())
    text = document(lines=LINES)
    note = f"</cbc:ID><cbc:Note>{'n' * ((BYTES - len(text)) // LINES - 22)}</cbc:Note><cbc:InvoicedQuantity"
    text = text.replace(b"</cbc:ID><cbc:InvoicedQuantity", note.encode())
    long.write_bytes(text.replace(b'unitCode="C62"', b'unitCode="QQQ"', wrong))
    done = subprocess.run([sys.executable, "-c", PEAK, small, long], capture_output=True, text=True, check=True)
    decision, findings, grown = done.stdout.split()
    return decision, int(findings), float(grown)


def test_a_document_of_20000_lines_and_16_megabytes_is_validated_in_less_than_300_mebibytes(tmp_path: Path) -> None:
    decision, findings, grown = peak(tmp_path, wrong=0)
    assert (decision, findings) == ("accept", 0)
    assert grown < MOST_GROWN


@pytest.mark.parametrize("wrong", WRONG)
def test_where_lines_are_wrong_saxon_comes_when_the_document_s_memory_is_free_again(tmp_path: Path, wrong: str) -> None:
    decision, findings, grown = peak(tmp_path, wrong=WRONG[wrong])
    assert (decision, findings) == ("reject", min(WRONG[wrong], 100))
    assert grown < SAXON
