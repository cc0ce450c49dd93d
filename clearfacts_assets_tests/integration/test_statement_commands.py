"""The commands of statements and their mails, against the simulator's mail server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from clearfacts_assets_tests.fixtures.chargeback import row, write
from clearfacts_assets_tests.fixtures.command import COMMAND, Command
from clearfacts_assets_tests.integration.test_statements import tags

CHARGEBACK = ("chargeback",)


@pytest.fixture
def mail_environment(command: Command) -> Iterator[str]:
    """A simulator with its mail server, of this test's own; gives its address."""
    process = subprocess.Popen([*COMMAND, "simulate", "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    announced = json.loads(process.stdout.readline())
    command.environment.update(announced["environment"])
    yield announced["url"]
    process.terminate()
    process.wait(300)


def test_a_month_from_charges_to_mails_and_again(command, mail_environment, tmp_path):
    export = write(
        tmp_path / "aws.csv",
        [row(BilledCost="10.00", ResourceId="a"), row(BilledCost="5.50", ResourceId="b", Tags=tags(project_id="x"))],
    )
    command.json(*CHARGEBACK, "ingest", str(export), "-s", "aws", "-p", "2025-03")
    assert "2025-03 is open" in command(*CHARGEBACK, "generate", "-p", "2025-03", code=1).stderr
    command(*CHARGEBACK, "periods", "close", "2025-03")
    rehearsal = command.json(*CHARGEBACK, "generate", "-p", "2025-03", "--send", "--dry-run")
    assert (len(rehearsal["new"]), rehearsal["difference"]) == (2, {"USD": "15.50"})
    out = tmp_path / "out"
    found = command.json(*CHARGEBACK, "generate", "-p", "2025-03", "--send", "-o", str(out))
    assert found["new"] == ["S-2025-03-0001", "S-2025-03-0002"]
    assert found["emails"] | {"stopped": ""} == {
        **{"wanted": 1, "sent": 1, "refused": 0, "waiting": 0, "unknown": 0, "lapsed": 0},
        "stopped": "",
    }
    assert found["tie_out"] == [
        {
            **{"currency": "USD", "statements": 2, "printed": "15.50", "exact": "15.50", "ledger": "15.50"},
            **{"rounding": "0.00", "balanced": True},
        }
    ]
    assert len(list(out.glob("*.pdf"))) == 2
    again = command.json(*CHARGEBACK, "generate", "-p", "2025-03", "--send")
    assert (again["new"], again["unchanged"], again["emails"]["sent"]) == ([], 2, 0)
    (mail,) = httpx.get(f"{mail_environment}/simulator/mail").json()["mails"]
    assert (mail["recipients"], mail["encrypted"], len(mail["attachments"])) == (["ada@bio.example.edu"], True, 2)
    assert command.json(*CHARGEBACK, "statements", "recompute", "-p", "2025-03")["statements"][0]["problem"] == ""
    assert [one["state"] for one in command.json(*CHARGEBACK, "emails", "list")["emails"]] == ["sent"]
    httpx.post(f"{mail_environment}/simulator/mail/faults", json={"kind": "accept_then_drop"})
    resent = command.json(*CHARGEBACK, "emails", "resend", "1", "--wish", "w")
    assert (resent["id"], resent["unknown"]) == (2, 1)
    assert command.json(*CHARGEBACK, "emails", "confirm", "2", "--reason", "she has it")["state"] == "sent"
    command(*CHARGEBACK, "statements", "show", "S-2025-03-0009", code=1)


def test_previews_send_nothing(command, tmp_path):
    export = write(tmp_path / "aws.csv", [row(BilledCost="10.00")])
    command.json(*CHARGEBACK, "ingest", str(export), "-s", "aws", "-p", "2025-03")
    command(*CHARGEBACK, "periods", "close", "2025-03")
    command(*CHARGEBACK, "generate", "-p", "2025-03")
    folder = tmp_path / "mails"
    assert command.json(*CHARGEBACK, "emails", "preview", "-p", "2025-03", "-o", str(folder))["mails"] == 1
    assert sorted(one.suffix for one in folder.iterdir()) == [".eml", ".html", ".txt"]
    assert command.json(*CHARGEBACK, "emails", "list")["emails"] == []
    waiting = command.json(*CHARGEBACK, "emails", "send", "-p", "2025-03", code=1)
    assert (waiting["wanted"], waiting["stopped"]) == (1, "email.host is not set: the mails wait")
