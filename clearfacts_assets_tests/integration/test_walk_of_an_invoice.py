"""docs/walk-of-an-invoice.md, played: what it shows is what the command line, the API, the audit log and Dagster say.

Names, times and the simulator's port are those of the page, of the same lengths as the real ones.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster._core.workspace.context import WorkspaceProcessContext

from clearfacts_assets.invoices.days import window_of
from clearfacts_assets.invoices.ledger.model import DeliveryRecord, Settlement
from clearfacts_assets.invoices.lifecycle import Event, State
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.command import Command
from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline
from clearfacts_assets_tests.fixtures.ubl_documents import BUYER_VAT, document

PAGE = Path(__file__).parents[2] / "docs" / "walk-of-an-invoice.md"
BLOCK = re.compile(r"^```(?:console|json|text)\n.*?^```$", re.DOTALL | re.MULTILINE)
NUMBER = "F-2026-7"
UPLOAD = {"operation": "upload"}
WIDTH = "110"
# The second version's run and delivery, and the first one's, as the page names them.
VERSIONS = {1: "1a5c09e2-6f0d-4c53-9a41-0d2f7b8e6c11", 2: "2b7d41f8-93ce-4e0a-8b55-71c6a9d03e22"}
RUN, AT_CLEARFACTS = "77e0c3d4-52ab-4f19-a6d8-3b9f1e4c8077", "c1ea5fac-7500-4d0c-9e11-a27b64f08cfa"
TIME, MOMENT = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "2026-11-19T01:00:00Z"
PORT = re.compile(r"127\.0\.0\.1:\d{5}")


class Walk:
    """Plays the invoice's way, and keeps what was told as the page has it."""

    def __init__(self, pipeline: Pipeline, command: Command, api: RunningApi) -> None:
        self.pipeline, self.command, self.api = pipeline, command, api
        self.told: list[str] = []
        self.names: dict[str, str] = {}  # as the page has them, by the real ones
        pipeline.simulator.reset(per_day=0)
        pipeline.simulator.add_administration(BUYER_VAT)

    def erp_has(self, lines: int) -> None:
        moment = window_of(DAY).start + timedelta(hours=8, minutes=lines)
        self.pipeline.simulator.clear_invoices()
        self.pipeline.simulator.inject("erp-7", moment, document(number=NUMBER, lines=lines).decode())

    def night(self, **fault: object) -> None:
        """A run of the day, and what Dagster's UI shows of it."""
        if fault:
            self.pipeline.simulator.fault("clearfacts", str(fault.pop("kind")), match=UPLOAD, times=1, **fault)
        run = self.pipeline.run()
        self.names[run.run_id] = RUN
        for revision, one in self.versions().items():
            self.names[str(one.id)] = VERSIONS[revision]
        (check,) = [
            one for one in run.result.get_asset_check_evaluations() if one.check_name == "no_delivery_is_unknown"
        ]
        counts = run.metadata("job_metrics")
        lines = [f"{name:22} {counts[name]}" for name in ("total_invoices", "processed", "duplicates", "pending")]
        told = "passed" if check.passed else "failed"
        self._tell("text", "\n".join([*lines, f"no_delivery_is_unknown {told}: {check.description}"]))

    def types(self, line: str, *tables: str) -> None:
        """A command and what it says; of several tables only these."""
        words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", self._real(line))]
        done = self.command(*words)
        parts = [part for part in done.stdout.split("\n\n") if not tables or part.lstrip().startswith(tables)]
        self._tell("console", f"$ clearfacts {line}\n" + "\n\n".join(parts))

    def decides(self, role: str, revision: int, **verdict: object) -> None:
        """A verdict by the API, which is refused."""
        answer = self.api.client(role).post(f"{self._path(revision)}/resolve", json=verdict)
        error = answer.json()["error"]
        self._tell("json", f"{answer.status_code} {json.dumps({n: error[n] for n in ('code', 'message')}, indent=2)}")

    def asks(self, revision: int) -> None:
        """The delivery as the API has it, shortened."""
        found: Mapping[str, Any] = self.api.client("operator").get(self._path(revision)).json()["data"]
        tries = [{name: one[name] for name in ("outcome", "proof")} for one in found["tries"]]
        versions = [{name: one[name] for name in ("revision", "state")} for one in found["versions"]]
        shown = {name: found[name] for name in ("state", "generation", "document_id")}
        lines = [
            f'  "{name}": {json.dumps(value)}'
            for name, value in (shown | {"tries": tries, "versions": versions}).items()
        ]
        self._tell("json", "{\n" + ",\n".join(lines) + "\n}")

    def _path(self, revision: int) -> str:
        return f"/api/v1/deliveries/{self.versions()[revision].id}"

    def _real(self, text: str) -> str:
        for real, name in self.names.items():
            text = text.replace(name, real).replace(name[:8], real[:8])
        return text

    def _tell(self, kind: str, text: str) -> None:
        for real, name in self.names.items():
            text = text.replace(real, name).replace(real[:16], name[:16]).replace(real[:8], name[:8])
        text = TIME.sub(lambda found: found[0] if found[0].startswith(DAY) else MOMENT, text)
        text = PORT.sub("127.0.0.1:41267", text)
        self.told.append("\n".join([f"```{kind}", *(line.rstrip() for line in text.strip().splitlines()), "```"]))

    def versions(self) -> dict[int, DeliveryRecord]:
        return {one.revision: one for one in self.pipeline.deliveries.list(number=NUMBER).items}

    def proof_comes_late(self) -> None:
        """The answer to the first call reaches the ledger now, by whoever waited for it."""
        (there,) = self.pipeline.simulator.accepted()
        self.names[there["uuid"]] = AT_CLEARFACTS
        said = Settlement(self.versions()[2].id, 1, (Event.ACCEPTED,), document_id=there["uuid"])
        SqlDeliveryLedger(self.pipeline.engine).settle([said])


@pytest.fixture
def walk(quick_pipeline: Pipeline, dagster_workspace: WorkspaceProcessContext, tmp_path: Path) -> Iterator[Walk]:
    quick_pipeline.configure(DESTINATION__TRANSPORT="graphql")
    command = Command(tmp_path / "home", {**os.environ, "COLUMNS": WIDTH, "NO_COLOR": "1"})
    api = RunningApi(dagster_workspace, os.environ["CLEARFACTS_DATABASE_URL"])
    yield Walk(quick_pipeline, command, api)
    api.close()
    command.close()


def test_the_page_shows_what_people_are_told_of_an_invoice(walk: Walk) -> None:
    walk.erp_has(lines=2)
    walk.night(kind="status", status=429, retry_after=3600)
    walk.erp_has(lines=3)
    walk.night(kind="accept_then_500")
    walk.types(f"deliveries list --number {NUMBER}")
    resend = f"deliveries resolve {VERSIONS[2][:8]} --as resend --seen parked/1 --actor an.peeters"
    walk.types(f"{resend} --reason 'no file of this name'")
    seen = {"state": "parked", "generation": 1}
    walk.decides("operator", 2, verdict="delivered", seen=seen, reason="it is there after all")
    walk.proof_comes_late()
    walk.types(f"deliveries show {VERSIONS[2][:8]}", "Delivery", "Versions", "Tries", "Decisions")
    walk.asks(2)
    walk.types("audit list --resource-type delivery")
    walk.night()
    assert {revision: one.state for revision, one in walk.versions().items()} == {
        1: State.SUPERSEDED,
        2: State.DELIVERED,
    }
    assert len(walk.pipeline.simulator.accepted()) == 1
    shown = BLOCK.findall(PAGE.read_text("utf-8"))
    assert shown == walk.told, f"{PAGE.name} has to show:\n" + "\n\n".join(walk.told)
