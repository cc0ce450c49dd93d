"""What was used becomes priced charges: jobs of Slurm, reports of storage, any table."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.cost_sources.usage import Usage, UsageFormat
from clearfacts_assets.chargeback.ingest.delivery import ingest
from clearfacts_assets.chargeback.ingest.rules import ReadingRules
from clearfacts_assets.chargeback.model import FileRefused, Mode
from clearfacts_assets.chargeback.ports import Delivery, Outcome
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.chargeback.rates.model import LineKind
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.overriding import OverrideRepository
from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets_tests.fixtures.chargeback import NOW
from clearfacts_assets_tests.fixtures.rates import Rules
from clearfacts_assets_tests.integration.test_chargeback_cases import case

HEADER = "JobID|JobIDRaw|User|Account|Partition|State|Start|End|Elapsed|ElapsedRaw|AllocCPUS|AllocTRES|JobName"


class Uses:
    """Files of use, imported into one ledger."""

    def __init__(self, rules: Rules, folder: Path) -> None:
        self.rules, self.engine, self.folder = rules, rules.engine, folder
        registry = RegistryRepository(self.engine)
        project = {"project_id": "bio", "pi_email": "ada@bio.example.edu", "fund_org": "BIO-1", "valid_from": ""}
        registry.put("projects", [project], actor="pat", now=NOW)

    def rate(self, service: str, unit: str, price: str, valid: tuple[str, str] = ("", ""), **said: Any) -> None:
        definition = {"service": service, "unit": unit, "price": price, "currency": "USD", **said}
        name = f"{service} / {said.get('rate_class', 'internal')}"
        self.rules.add(RuleKind.RATE, name, valid, **definition)

    def ingest(self, file: Path, *, source: str = "slurm", period: str | None = "2025-03", **form: Any) -> Outcome:
        registry = RegistryRepository(self.engine)
        registry.source(source, now=NOW)
        usage = Usage(source, UsageFormat(**form), RuleRepository(self.engine).book())
        read_with = ReadingRules(source, period=period, registry=registry.load(), usage=usage)
        delivery = Delivery(source, Mode.SNAPSHOT, period, "pat", NOW, confirmed=True)
        return ingest([file], delivery, read_with, ImportRepository(self.engine))

    def sacct(self, *jobs: str, header: str = HEADER, **form: Any) -> Outcome:
        file = self.folder / "sacct.txt"
        file.write_text("\n".join([header, *jobs]) + "\n", "utf-8")
        return self.ingest(file, **form)

    def table(self, text: str, **form: Any) -> Outcome:
        file = self.folder / "usage.csv"
        file.write_text(text, "utf-8")
        return self.ingest(file, source="usage", **form)

    def quantities(self, period: str = "2025-03") -> dict[str, Decimal]:
        return {one["resource_id"]: Decimal(one["quantity"]) for one in self.rules.books.charges(period=period)}


@pytest.fixture
def uses(rules: Rules, tmp_path: Path) -> Uses:
    return Uses(rules, tmp_path)


def job(number: int = 1, **said: str) -> str:
    usual = {
        "JobID": str(number),
        "JobIDRaw": str(number),
        "User": "u",
        "Account": "bio",
        "Partition": "cpu",
        "State": "COMPLETED",
        "Start": "2025-03-02T00:00:00",
        "End": "2025-03-02T01:00:00",
        "Elapsed": "01:00:00",
        "ElapsedRaw": "3600",
        "AllocCPUS": "4",
        "AllocTRES": "billing=4,cpu=4,mem=16G,node=1",
        "JobName": "run",
    }
    return "|".join((usual | said).values())


def test_elapsed_in_every_spelling_steps_once_and_a_name_with_delimiters(uses: Uses) -> None:
    folder, expect = case("10")
    uses.rate("HPC cpu", "core-hour", "0.05")
    outcome = uses.ingest(folder / "slurm_2025-03.txt")
    assert (outcome.rows, outcome.refused) == (expect["jobs"], 0)
    assert uses.quantities() == {job: Decimal(seconds) for job, seconds in expect["core_seconds"].items()}
    total = uses.rules.books.total()
    assert str(total.list.quantize(Decimal("1E-11"))) == expect["list"]
    uses.rules.run()
    assert uses.rules.due() == expect["due"]
    assert [one["resource_name"] for one in uses.rules.books.charges()] == ["run", "b", "a|b|c"]


def test_a_job_is_charged_for_what_it_ran_in_the_month_in_which_it_ended(uses: Uses) -> None:
    folder, expect = case("13")
    uses.rate("HPC cpu", "core-hour", "1.00")
    uses.ingest(folder / "slurm_2025-03.txt", period=None)
    hours = {job: seconds / 3600 for job, seconds in uses.quantities().items()}
    assert hours == {job: Decimal(hours) for job, hours in expect["core_hours"].items()}
    assert uses.rules.books.charges(period="2025-02") == []
    uses.rules.run()
    assert uses.rules.due() == "6.50"


def test_weights_of_memory_and_gpus_make_the_size_of_a_job(uses: Uses) -> None:
    uses.rate("HPC gpu", "core-hour", "1.00")
    weights = {"gpu": {"cpu": Decimal(1), "mem": Decimal("0.25"), "gpu": Decimal(10)}}
    gpu = job(Partition="gpu", AllocTRES="cpu=4,mem=65536M,gres/gpu:a100=2,node=1")
    uses.sacct(gpu, kind="slurm", weights=weights)
    assert uses.quantities() == {"1": Decimal((4 + 16 + 20) * 3600)}
    uses.sacct(gpu, kind="slurm", weights=weights, measure="max")
    assert uses.quantities() == {"1": Decimal(20 * 3600)}


def test_array_jobs_are_jobs_and_what_never_ran_is_nothing(uses: Uses) -> None:
    uses.rate("HPC cpu", "core-hour", "1")
    never = {"Start": "None", "End": "2025-03-02T00:00:00", "Elapsed": "00:00:00", "ElapsedRaw": "0"}
    outcome = uses.sacct(
        job(JobID="7_1", JobIDRaw="8"),
        job(JobID="7_2", JobIDRaw="9"),
        job(JobID="7_[3-9]", JobIDRaw="7", State="PENDING", **never | {"End": "Unknown"}),
        job(10, State="CANCELLED by 1000", **never),
    )
    assert (outcome.rows, outcome.refused) == (2, 0)
    assert set(uses.quantities()) == {"8", "9"}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"State": "RUNNING", "End": "Unknown"}, "not_ended"),
        ({"Elapsed": "01:00:02"}, "elapsed_differs"),
        ({"Elapsed": "1 hour", "ElapsedRaw": ""}, "bad_elapsed"),
        ({"Partition": "fpga"}, "no_rate"),
        ({"Partition": ""}, "missing"),
        ({"AllocCPUS": "", "AllocTRES": ""}, "missing"),
        ({"End": "yesterday"}, "bad_date"),
        ({"ElapsedRaw": "-5"}, "bad_number"),
    ],
)
def test_a_job_that_cannot_be_charged_is_refused_with_the_reason(uses: Uses, said: dict[str, str], code: str) -> None:
    uses.rate("HPC cpu", "core-hour", "1")
    outcome = uses.sacct(job(), job(2, **said))
    assert (outcome.rows, [(one.line, one.code) for one in outcome.refusals]) == (1, [(3, code)])


def test_a_clusters_own_time_decides_the_month(uses: Uses) -> None:
    uses.rate("HPC cpu", "core-hour", "1")
    last = job(Start="2025-04-01T00:30:00", End="2025-04-01T01:30:00")  # in Brussels: still March in UTC
    uses.sacct(last, kind="slurm", timezone="Europe/Brussels")
    assert set(uses.quantities("2025-03")) == {"1"}


def test_a_new_price_makes_the_same_file_say_something_new(uses: Uses) -> None:
    uses.rate("HPC cpu", "core-hour", "1")
    uses.sacct(job())
    assert uses.sacct(job()).unchanged
    uses.rate("HPC cpu", "core-hour", "2")
    assert not uses.sacct(job()).unchanged
    assert str(uses.rules.books.total().due) == "8"


def test_a_daily_report_of_storage_adds_up_to_what_a_monthly_one_says(uses: Uses) -> None:
    uses.rate("Storage", "TiB-month", "31.00")
    days = "".join(f"2025-03-{day:02d},/lab,bio,1024\n" for day in range(1, 32))
    uses.table(f"date,path,project,used_gib\n{days}", kind="storage")
    assert uses.rules.books.total().due == 31
    assert uses.rules.books.total().charges == 31
    uses.table("month,path,project,used_tib\n2025-03,/lab,bio,1\n", kind="storage")
    assert (uses.rules.books.total().due, uses.rules.books.total().charges) == (31, 1)


def test_what_is_free_of_storage_is_borne_by_who_gives_it(uses: Uses) -> None:
    uses.rate("Storage", "TiB-month", "10.00")
    uses.rules.add(RuleKind.ALLOWANCE, "first", payer="Center", quantity="1", unit="TiB-month", scope={})
    uses.table("month,path,project,used_tib\n2025-03,/a,bio,4\n", kind="storage")
    uses.rules.run()
    assert (uses.rules.sum_of(LineKind.ALLOWANCE), uses.rules.due()) == ("-10.00", "30.00")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("date,path,project,used\n2025-03-01,/a,bio,5\n", "unit_missing"),
        ("date,path,project,used_gib,quota_gib\n2025-03-01,/a,bio,5,9\n", "missing_column"),
        ("path,project,used_gib\n/a,bio,5\n", "missing_column"),
    ],
)
def test_a_report_that_does_not_say_what_it_counts_is_refused(uses: Uses, text: str, code: str) -> None:
    uses.rate("Storage", "TiB-month", "10.00")
    with pytest.raises(FileRefused) as refused:
        uses.table(text, kind="storage")
    assert refused.value.refusal.code == code


TOKENS = {"quantity": "total", "start": "day", "pi_email": "user", "resource_id": "model"}


def test_any_table_is_read_by_the_columns_that_the_settings_name(uses: Uses) -> None:
    uses.rate("Language models", "token", "2.50", per="1000000")
    text = "day;user;model;total;project;fund\n2025-03-04;Ada@bio.example.edu;m1;1200000;bio;BIO-1\n"
    outcome = uses.table(text, kind="csv_usage", service="Language models", unit="token", columns=TOKENS)
    assert outcome.refused == 0
    (charge,) = uses.rules.books.charges()
    kept = ("service", "quantity", "unit", "amount", "pi_email", "project_id", "fund_org", "resource_id")
    assert tuple(charge[name] for name in kept) == (
        "Language models",
        "1200000",
        "token",
        "3",
        "ada@bio.example.edu",
        "bio",
        "BIO-1",
        "m1",
    )


@pytest.mark.parametrize(("cell", "code"), [("1,5", "ambiguous_comma"), ("-1", "negative"), ("", "missing")])
def test_a_quantity_is_exact_or_its_row_is_refused(uses: Uses, cell: str, code: str) -> None:
    uses.rate("s", "hour", "1")
    text = f'day,hours,project\n2025-03-01,"{cell}",bio\n'
    outcome = uses.table(text, kind="csv_usage", service="s", unit="hour")
    assert [one.code for one in outcome.refusals] == [code]


def _classes(uses: Uses, prices: Mapping[str, str]) -> None:
    for name, price in prices.items():
        uses.rate("HPC cpu", "core-hour", price, rate_class=name)
    uses.rules.add(RuleKind.RATE_CLASS, "acme.com", institution="acme.com", rate_class="commercial")


def test_the_rate_class_follows_who_pays_at_last(uses: Uses) -> None:
    _classes(uses, {"internal": "1", "commercial": "3"})
    project = {"project_id": "acme", "pi_email": "eve@lab.acme.com", "fund_org": "PO-1", "valid_from": ""}
    RegistryRepository(uses.engine).put("projects", [project], actor="pat", now=NOW)
    uses.sacct(job(1), job(2, Account="acme"))
    uses.rules.run()
    assert (uses.rules.due(project_id="bio"), uses.rules.due(project_id="acme")) == ("4.00", "12.00")


def test_the_rate_class_follows_whom_a_person_names_by_override_or_by_correction(uses: Uses) -> None:
    """By an alias, too, and for an institution that is no domain."""
    _classes(uses, {"internal": "1", "commercial": "3"})
    uses.rules.add(RuleKind.RATE_CLASS, "Acme", institution="Acme Labs", rate_class="commercial")
    registry = RegistryRepository(uses.engine)
    person = {"email": "eve@gmail.example", "name": "Eve", "institution": "Acme Labs", "aliases": ["eve"]}
    registry.put("investigators", [person], actor="pat", now=NOW)
    laid = {"resource": "1", "pi_email": "Eve", "fund_org": "PO-1", "reason": "hers"}
    OverrideRepository(uses.engine).add([laid], actor="pat", now=NOW)
    uses.sacct(job(1), job(2), job(3))
    by_resource = {one["resource_id"]: one["id"] for one in uses.rules.books.charges()}
    uses.rules.books.decide(Verdict.CORRECT, by_resource["2"], pi_email="EVE", fund_org="PO-1")
    uses.rules.run()
    paid = {(one.to.pi_email, one.charge_id): str(one.due) for one in uses.rules.dues()}
    assert paid == {
        ("eve@gmail.example", by_resource["1"]): "12.00",
        ("eve@gmail.example", by_resource["2"]): "12.00",
        ("ada@bio.example.edu", by_resource["3"]): "4.00",
    }


def test_a_class_without_a_price_is_told_and_charged_as_internal(uses: Uses) -> None:
    _classes(uses, {"internal": "1"})
    project = {"project_id": "acme", "pi_email": "eve@acme.com", "fund_org": "PO-1", "valid_from": ""}
    RegistryRepository(uses.engine).put("projects", [project], actor="pat", now=NOW)
    uses.sacct(job(2, Account="acme"))
    result = uses.rules.run()
    assert [one["code"] for one in result.findings] == ["no_rate_for_class"]
    assert uses.rules.due() == "4.00"


def test_tiers_and_minimum_are_discount_and_list_of_a_rate(uses: Uses) -> None:
    uses.rate("HPC cpu", "core-hour", "1", tiers=[{"from": "6", "price": "0.50"}], minimum="2.50")
    uses.sacct(*(job(number, Start=f"2025-03-0{number}T00:00:00") for number in (1, 2, 3)))
    uses.rules.run()
    assert [str(one.due) for one in uses.rules.dues()] == ["4.00", "3.00", "2.50"]
    assert [str(one.of(LineKind.DISCOUNT)) for one in uses.rules.dues()] == ["0", "-1.0", "-1.5"]
