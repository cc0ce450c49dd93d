"""docs/journals.md shows what its commands print."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from clearfacts_assets_tests.fixtures.chargeback import row, write
from clearfacts_assets_tests.fixtures.journals import tags

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "journals.md"
BEGIN, END = "<!-- walk -->\n", "<!-- end of the walk -->\n"
# What it is for, the command, its exit code; `cat` is done here.
STEPS = [
    (
        "The source says which fund is credited for it, and by which account.",
        "sources set aws --credit-fund IT-CLOUD --account-code 54100",
        0,
    ),
    ("The month's statements become a journal.", "export-journal -p 2025-03 -f gl -o journal.csv", 0),
    ("Its file:", "cat journal.csv", 0),
    ("Once more is refused: what has left is not posted twice.", "export-journal -p 2025-03", 1),
    ("From the provider's bill to the journal:", "journals check -p 2025-03", 0),
    ("The general ledger refuses a line.", "journals posted --answer answer.csv", 1),
    ("So the journal is taken back,", "journals reverse J-2025-03-0001 --reason 'no such account' -o back.csv", 0),
    ("what was wrong is mended,", "sources set aws --account-code 54200", 0),
    ("and the statements are exported anew.", "export-journal -p 2025-03 -o journal.csv", 0),
    ("", "journals posted J-2025-03-0003 --reference DOC4711", 0),
    ("All journals of the month:", "journals list -p 2025-03", 0),
]


def test_the_document_shows_what_the_commands_print(command, tmp_path):
    command.environment["CLEARFACTS_STATEMENTS__WORKERS"] = "0"
    export = write(
        tmp_path / "aws.csv",
        [
            row(BilledCost="10.004", ResourceId="a"),
            row(BilledCost="-2.50", ResourceId="b", ServiceName="Refund"),
            row(BilledCost="5.25", ResourceId="c", Tags=tags(project_id="orbits", fund_org="PHY-000002")),
        ],
    )
    (tmp_path / "answer.csv").write_text("journal,line,status,message\nJ-2025-03-0001,1,error,no such account\n")
    for before in (f"ingest {export} -s aws -p 2025-03", "periods close 2025-03", "generate -p 2025-03"):
        command("chargeback", *shlex.split(before))
    shown = "".join(step(command, tmp_path, *one) for one in STEPS)
    head, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    written, _, after = rest.partition(END)
    if os.environ.get("WRITE_DOCS"):
        DOCUMENT.write_text(f"{head}{BEGIN}\n{shown}{END}{after}", "utf-8")
    assert written.strip() == shown.strip(), "WRITE_DOCS=1 writes it anew"


def step(command, folder, words, line, code):
    """One step as the document has it: with files by their names alone."""
    if line.startswith("cat "):
        output, prompt = (folder / line.removeprefix("cat ")).read_text(), line
    else:
        arguments = [str(folder / one) if one.endswith(".csv") else one for one in shlex.split(line)]
        done = command("chargeback", *arguments, code=code)
        output, prompt = done.stdout + done.stderr, f"clearfacts chargeback {line}"
    shown = "\n".join(one.rstrip() for one in output.replace(f"{folder}/", "").strip().splitlines())
    return f"{words}\n\n```console\n$ {prompt}\n{shown}\n```\n\n".lstrip()
