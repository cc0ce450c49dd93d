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
SUMS = {"LineExtensionAmount": {"BR-CO-10", "BR-CO-13"}, "TaxableAmount": {"BR-S-08", "BR-S-09", "BR-CO-17"}}

PEAK = """
import sys
from pathlib import Path
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan

def told(name):
    return int(Path("/proc/self/status").read_text().split(name)[1].split()[0]) / 1024

inspector = Inspector(ValidationPlan())
inspector.warm()
inspector.inspect(Path(sys.argv[1]).read_bytes())
before = told("VmRSS:")
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
report = inspector.inspect(Path(sys.argv[2]).read_bytes())
rules = ",".join(one.rule for one in report.findings if one.layer == "en16931")
print(report.decision.value, len(report.findings), told("VmHWM:") - before, rules)
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux, which tells a process's peak"
)


def peak(folder: Path, wrong: int = 0, amount: str = "") -> tuple[str, int, float, set[str]]:
    """Decision, findings, MiB more than before and the norm's rules, of a document with a wrong unit on so many lines,
    and a wrong amount of that name in its head."""
    small, long = folder / "small.xml", folder / "long.xml"
    small.write_bytes(document())
    text = document(lines=LINES)
    note = f"</cbc:ID><cbc:Note>{'n' * ((BYTES - len(text)) // LINES - 22)}</cbc:Note><cbc:InvoicedQuantity"
    text = text.replace(b"</cbc:ID><cbc:InvoicedQuantity", note.encode())
    text = text.replace(b'unitCode="C62"', b'unitCode="QQQ"', wrong)
    long.write_bytes(text.replace(*(f'<cbc:{amount} currencyID="EUR">{nine}'.encode() for nine in ("", "9")), 1))
    done = subprocess.run([sys.executable, "-c", PEAK, small, long], capture_output=True, text=True, check=True)
    decision, findings, grown, *rules = done.stdout.split()
    return decision, int(findings), float(grown), set("".join(rules).split(","))


def test_a_document_of_20000_lines_and_16_megabytes_is_validated_in_less_than_300_mebibytes(tmp_path: Path) -> None:
    decision, findings, grown, _ = peak(tmp_path)
    assert (decision, findings) == ("accept", 0)
    assert grown < MOST_GROWN


@pytest.mark.parametrize("wrong", WRONG)
def test_where_lines_are_wrong_saxon_comes_when_the_document_s_memory_is_free_again(tmp_path: Path, wrong: str) -> None:
    decision, findings, grown, _ = peak(tmp_path, wrong=WRONG[wrong])
    assert (decision, findings) == ("reject", min(WRONG[wrong], 100))
    assert grown < SAXON


@pytest.mark.parametrize("amount", SUMS)
def test_where_a_sum_of_all_lines_is_wrong_saxon_sees_only_what_the_sum_reads(tmp_path: Path, amount: str) -> None:
    decision, _, grown, rules = peak(tmp_path, amount=amount)
    assert (decision, rules) == ("reject", SUMS[amount])
    assert grown < SAXON
