"""One file and one line: every example of docs/extending.md, put where it says, registered and used."""

from __future__ import annotations

import importlib
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from pydantic import Field, SecretStr, ValidationError
from pytest_httpserver import HTTPServer
from sqlalchemy import Engine
from typer.testing import CliRunner

from clearfacts_assets import configuration, resources, settings
from clearfacts_assets.api import app as api
from clearfacts_assets.api import metrics
from clearfacts_assets.api.v1.chargeback.journal_fields import FileQuery
from clearfacts_assets.chargeback import cost_sources
from clearfacts_assets.chargeback.cost_sources.detection import is_use, open_export
from clearfacts_assets.chargeback.cost_sources.usage import Usage
from clearfacts_assets.chargeback.journals import formats
from clearfacts_assets.chargeback.model import FileRefused
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.cli import main, settings_catalogue
from clearfacts_assets.invoices import destinations, sources
from clearfacts_assets.invoices.defs import resources as invoice_resources
from clearfacts_assets.invoices.model import Decision, Window
from clearfacts_assets.invoices.ports import Accepted, Denied, InvoiceNotFound, Unknown
from clearfacts_assets.invoices.validation import rules
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan
from clearfacts_assets.notifications import channels
from clearfacts_assets.notifications.channels import sender
from clearfacts_assets.notifications.outbox import DispatchCount, dispatch, enqueue
from clearfacts_assets.setting_types import Changeable, Section
from clearfacts_assets.storage.chargeback.journals.batch_options import format_options
from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository
from clearfacts_assets.storage.chargeback.rates.usage import usage_of
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.journals import journal, part
from clearfacts_assets_tests.fixtures.simulated_submissions import submission
from clearfacts_assets_tests.fixtures.ubl_documents import document

PROJECT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)

Add = Callable[[str], ModuleType]


def examples() -> dict[str, str]:
    """The documented files by their names."""
    text = (PROJECT / "docs" / "extending.md").read_text("utf-8")
    blocks = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", text, flags=re.DOTALL)
    return dict(blocks)


def documented(registration: str) -> bool:
    """Whether the document tells this line, so that what is done here is what it says."""
    return registration in (PROJECT / "docs" / "extending.md").read_text("utf-8")


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Put an example's file where its package finds it. It is gone after the test."""
    added: list[str] = []

    def put(name: str) -> ModuleType:
        *folders, file = name.removesuffix(".py").split("/")
        package = importlib.import_module(".".join(folders))
        place = tmp_path.joinpath(*folders)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{file}.py").write_text(examples()[name], "utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(place)])
        added.append(".".join([*folders, file]))
        return importlib.import_module(added[-1])

    yield put
    for name in added:
        sys.modules.pop(name, None)


@pytest.fixture
def engine(tmp_path: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An installation with an empty database of its own."""
    url = f"sqlite:///{tmp_path / 'clearfacts.db'}"
    (tmp_path / "clearfacts.db").write_bytes(migrated_file.read_bytes())
    monkeypatch.setenv("CLEARFACTS_HOME", str(tmp_path))
    monkeypatch.setenv("CLEARFACTS_DATABASE_URL", url)
    settings.load.cache_clear()
    yield open_engine(url)
    settings.load.cache_clear()
    resources._engine.cache_clear()


def configure(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"CLEARFACTS_{name}", value)
    settings.load.cache_clear()


def test_every_example_is_tried() -> None:
    source = Path(__file__).read_text("utf-8")
    assert [name for name in examples() if name not in source] == []


@pytest.mark.parametrize(
    ("package", "registered"),
    [
        (sources, set(sources.SOURCES)),
        (rules, set(rules.RULE_SETS)),
        (channels, set(channels.CHANNELS)),
        (destinations, set(destinations.TRANSPORTS.values())),
        (cost_sources, {*cost_sources.USAGE_KINDS, *cost_sources.COST_KINDS}),
        (formats, set(formats.FORMATS)),
    ],
    ids=["sources", "rules", "channels", "destinations", "cost_sources", "formats"],
)
def test_every_adapter_that_is_there_is_registered(package: ModuleType, registered: set[str]) -> None:
    found = {
        path.stem
        for path in Path(package.__path__[0]).glob("*.py")
        if re.search(r"^def (opened|rule_set|source|written)\(", path.read_text("utf-8"), flags=re.MULTILINE)
    }
    assert found == registered


def test_a_rule_set(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    add("clearfacts_assets/invoices/validation/rules/drafts.py")
    assert documented('`"drafts": Layer(KNOWN, fatal_for=KNOWN),`')
    monkeypatch.setitem(rules.RULE_SETS, "drafts", rules.Layer(rules.KNOWN, fatal_for=rules.KNOWN))
    inspector = Inspector(ValidationPlan())
    report = inspector.inspect(document(number="DRAFT-1"))
    assert [(finding.rule, finding.layer) for finding in report.findings] == [("DRAFT", "drafts")]
    assert (report.decision, report.versions[-1]) == (Decision.REJECT, ("drafts", "1"))
    assert inspector.inspect(document()).decision is Decision.ACCEPT


def test_an_invoice_source(add: Add, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add("clearfacts_assets/invoices/sources/zip_file.py")
    assert documented('`"zip_file": Place("folder", "the ZIP file"),`')
    monkeypatch.setitem(sources.SOURCES, "zip_file", sources.Place("folder", "the ZIP file"))
    with zipfile.ZipFile(tmp_path / "day.zip", "w") as file:
        file.writestr(zipfile.ZipInfo("F-1.xml", (2026, 11, 20, 12, 0, 0)), document())
        file.writestr(zipfile.ZipInfo("F-2.xml", (2026, 11, 25, 12, 0, 0)), document())
    configure(monkeypatch, SOURCE__KIND="zip_file", SOURCE__FOLDER=str(tmp_path / "day.zip"))
    resource = invoice_resources.source()
    assert isinstance(resource, invoice_resources.SourceResource)
    with resource.open() as source:
        (page,) = source.pages(Window(NOW - timedelta(days=1), NOW))
        assert [(one.invoice_id, one.content) for one in page] == [("F-1.xml", document())]
        assert source.check().endswith("holds 2 documents")
        with pytest.raises(InvoiceNotFound):
            source.one("F-3.xml")
    elsewhere = resource.model_copy(update={"folder": "/etc/other.zip"})
    with pytest.raises(resources.AnotherPlace, match=r"source\.folder"), elsewhere.open():
        pass


@pytest.mark.parametrize(
    ("setting", "told"), [("SOURCE__KIND", "java_backend or folder"), ("DESTINATION__TRANSPORT", "graphql or rest")]
)
def test_what_is_not_registered_is_refused_with_what_there_is(
    monkeypatch: pytest.MonkeyPatch, setting: str, told: str
) -> None:
    monkeypatch.setenv(f"CLEARFACTS_{setting}", "carrier_pigeon")
    with pytest.raises(ValidationError, match=told):
        settings.Settings()


def test_a_destination(add: Add, engine: Engine, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    add("clearfacts_assets/invoices/destinations/archive.py")
    assert documented('`"archive": "archive",`')
    monkeypatch.setitem(destinations.TRANSPORTS, "archive", "archive")
    configure(
        monkeypatch,
        DESTINATION__TRANSPORT="archive",
        DESTINATION__BASE_URL=httpserver.url_for("/archive"),
        DESTINATION__TOKEN="open-sesame",
    )
    invoice = submission(content=b"<Invoice/>")
    address = f"/archive/{invoice.idempotency_key}"
    authorized = {"Authorization": "Bearer open-sesame"}
    httpserver.expect_ordered_request(address, "PUT", data=b"<Invoice/>", headers=authorized).respond_with_data(
        status=201
    )
    httpserver.expect_ordered_request(address, "PUT").respond_with_data(status=401)
    httpserver.expect_ordered_request(address, "PUT").respond_with_data(status=500)
    resource = invoice_resources.clearfacts()
    assert isinstance(resource, invoice_resources.ClearfactsResource)
    with resource.open() as destination:
        outcomes = [destination.send(invoice) for _ in range(3)]
    assert [type(outcome) for outcome in outcomes] == [Accepted, Denied, Unknown]
    assert isinstance(outcomes[0], Accepted)
    assert outcomes[0].document_id == invoice.idempotency_key


def test_a_cost_source(
    add: Add, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    add("clearfacts_assets/chargeback/cost_sources/bookings.py")
    assert documented('In `USAGE_KINDS`: `"bookings"`.')
    cost_sources.USAGE_KINDS.append("bookings")
    request.addfinalizer(cost_sources.USAGE_KINDS.pop)
    configure(monkeypatch, RATES__USAGE='{"microscope": {"kind": "bookings", "timezone": "Europe/Brussels"}}')
    rate = {"service": "Microscope", "unit": "hour", "price": "12.00", "currency": "EUR"}
    RuleRepository(engine).add(RuleKind.RATE, "Microscope", rate, actor="pat", now=NOW)
    file = tmp_path / "march.csv"
    file.write_text(
        "service,start,end,project\nMicroscope,2025-03-01 09:00,2025-03-01 10:30,bio\n"
        "Microscope,2025-03-01 10:30,2025-03-01 09:00,bio\n"
    )
    usage = usage_of(engine, "microscope", settings.load().rates.usage, {})
    export = open_export(file, usage=usage)
    (batch,) = export.batches()
    (charged,) = (dict(zip(export.opened.columns, row, strict=True)) for row in batch.rows)
    assert (charged["ChargePeriodStart"], charged["ConsumedQuantity"]) == ("2025-03-01T08:00:00Z", "5400")
    assert (charged["ListCost"], charged["BillingCurrency"], charged["Tags"]) == ("18", "EUR", '{"project_id": "bio"}')
    assert [(one.line, one.code) for one in batch.refusals] == [(3, "bad_date")]
    assert is_use(file, usage)
    with pytest.raises(FileRefused):
        open_export(file, usage=Usage("somewhere else"))


def test_a_journals_format(add: Add, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    add("clearfacts_assets/chargeback/journals/formats/json_lines.py")
    assert documented('`"json_lines": About("a JSON object for each line", ".jsonl"),`')
    with pytest.raises(ValidationError):
        FileQuery(format="json_lines")
    monkeypatch.setitem(formats.FORMATS, "json_lines", formats.About("a JSON object for each line", ".jsonl"))
    configure(monkeypatch, JOURNALS__FORMAT="json_lines", JOURNALS__PRESETS='{"json_lines": {"book": "A"}}')
    said, one = settings.load().journals, journal(part("1.10"))
    assert (said.format, FileQuery(format="json_lines").format) == ("json_lines", "json_lines")
    text = "".join(formats.format_of(said.format).written(one, format_options(said, said.format)))
    assert [json.loads(line) for line in text.splitlines()] == [
        {"book": "A", "journal": "J-2025-03-0001", "side": side, "fund": fund, "account": account, "amount": "1.10"}
        for side, fund, account in (("D", "BIO-000001", "54100"), ("C", "IT-CLOUD", "54100"))
    ]
    assert formats.file_name(one, said.format) == "J-2025-03-0001_USD_json_lines.jsonl"


def test_an_alert_channel(add: Add, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sender(settings.load()) is None, "without any channel alerts are kept"
    add("clearfacts_assets/notifications/channels/file.py")
    assert documented('In `CHANNELS`: `"file"`.')
    monkeypatch.setattr(channels, "CHANNELS", [*channels.CHANNELS, "file"])
    enqueue(engine, "one", f"file:{tmp_path / 'alerts.txt'}", {"text": "the night is over"}, NOW)
    enqueue(engine, "two", "#invoices", {"text": "for Slack, which is not set up"}, NOW + timedelta(seconds=1))
    send = sender(settings.load())
    assert send is not None
    assert dispatch(engine, send, lambda: NOW) == DispatchCount(sent=1, postponed=1)
    assert (tmp_path / "alerts.txt").read_text("utf-8") == "the night is over\n"


def test_an_endpoint_and_a_metric(
    add: Add, engine: Engine, monkeypatch: pytest.MonkeyPatch, dagster_workspace: WorkspaceProcessContext
) -> None:
    endpoint = add("clearfacts_assets/api/v1/system/about.py")
    metric = add("clearfacts_assets/api/account_metrics.py")
    assert documented("In `ENDPOINTS`: `about`.")
    assert documented("In `SUPPLIERS`: `of_accounts`.")
    monkeypatch.setattr(api, "ENDPOINTS", [*api.ENDPOINTS, endpoint])
    monkeypatch.setattr(metrics, "SUPPLIERS", [*metrics.SUPPLIERS, metric.of_accounts])
    running = RunningApi(dagster_workspace, settings.load().business_database_url)
    try:
        client, stranger = running.client("operator"), running.client(None)
        assert client.get("/api/v1/about").json()["data"] == {"name": "clearfacts", "you": "operator"}
        assert stranger.get("/api/v1/about").status_code == httpx.codes.UNAUTHORIZED
        assert re.search(r"^accounts [1-9]", client.get("/metrics").text, flags=re.MULTILINE)
    finally:
        running.close()


def test_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"Section": Section, "Changeable": Changeable, "Field": Field, "SecretStr": SecretStr}
    exec(compile(examples()["clearfacts_assets/settings.py"], "settings.py", "exec", dont_inherit=True), names)
    section = names["ArchiveSettings"]
    assert documented("`archive: ArchiveSettings = ArchiveSettings()`")
    extended = type(
        "Settings",
        (settings.Settings,),
        {"__annotations__": {"archive": section}, "archive": section(), "__module__": __name__},
    )
    monkeypatch.setenv("CLEARFACTS_ARCHIVE__DAYS", "60")
    monkeypatch.setenv("CLEARFACTS_ARCHIVE__TOKEN", "canary-7f3a")
    for module in (settings, configuration, settings_catalogue):
        monkeypatch.setattr(module, "Settings", extended)
    known = extended()
    assert known.archive.days == 60
    assert "canary-7f3a" in known.secrets
    assert "archive.days" in configuration.changeable()
    told = {setting.name: setting for setting in settings_catalogue.catalogue()}
    assert (told["archive.days"].default, told["archive.days"].secret) == ("30", False)
    assert (told["archive.token"].default, told["archive.token"].secret) == ("", True)
    assert "| `archive.days` | `CLEARFACTS_ARCHIVE__DAYS` | `30` | days for which a copy is kept |" in (
        settings_catalogue.document()
    )


def test_a_command(add: Add) -> None:
    module = add("clearfacts_assets/cli/about.py")
    assert documented("`app.command()(about)`")
    main.app.command()(module.about)
    try:
        said = CliRunner().invoke(main.app, ["about", "--json"])
        helped = CliRunner().invoke(main.app, ["--help"], env={"COLUMNS": "200"})
    finally:
        main.app.registered_commands.pop()
    assert (said.exit_code, json.loads(said.stdout)) == (0, {"name": "clearfacts"})
    assert re.search(r"about\s+What this is\.", helped.stdout)
