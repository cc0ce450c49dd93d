"""``clearfacts chargeback rates|rules|credits|pools|budgets`` from outside."""

from __future__ import annotations

import pytest

from clearfacts_assets_tests.fixtures.chargeback import SAMPLES
from clearfacts_assets_tests.fixtures.command import Command

JOBS = str(SAMPLES / "cases/10-sacct-elapsed/slurm_2025-03.txt")


def test_a_month_of_jobs_from_its_price_to_what_the_sponsor_paid(command: Command) -> None:
    chargeback = "chargeback"
    command(chargeback, "projects", "add", "bio", "--pi-email", "ada@x.edu", "--fund-org", "BIO-1")
    refused = command.json(chargeback, "ingest", JOBS, "-s", "slurm", "-p", "2025-03", code=1)
    assert [one["code"] for one in refused["refusals"]] == ["no_rate"] * 3
    price = ("--unit", "core-hour", "--price", "0.05", "--currency", "USD")
    version = command.json(chargeback, "rates", "add", "HPC cpu", *price)
    assert (version["number"], version["definition"]["price"]) == (1, "0.05")
    assert command.json(chargeback, "ingest", JOBS, "-s", "slurm", "-p", "2025-03")["rows"] == 3
    estimate = command.json(chargeback, "rates", "estimate", "HPC cpu", "10000")
    assert (estimate["cost"], estimate["currency"]) == ("500.00", "USD")
    scope = ("--for", "service=HPC*")
    command(chargeback, "rules", "subsidy", "dean", "--payer", "Dean", "--percent", "20", *scope)
    wish = command.json(chargeback, "rules", "run", "-p", "2025-03", "--dry-run")
    run = command.json(chargeback, "rules", "run", "-p", "2025-03")
    assert run["totals"] == wish["totals"]
    assert (run["totals"]["USD"]["due"], run["totals"]["USD"]["payers"]) == ("15.86", {"Dean": "3.97"})
    assert command.json(chargeback, "rules", "run", "-p", "2025-03")["added"] == 0
    lines = {
        "list": "19.827236111111",
        "discount": "0",
        "subsidy": "-3.97",
        "credit": "0",
        "rounding": "0.002763888889",
        "due": "15.86",
    }
    for asked in (("periods", "show", "2025-03"), ("month", "-p", "2025-03"), ("reconcile", "-p", "2025-03")):
        assert command.json(chargeback, *asked)["lines"] == {"USD": lines}
    assert "By the rules, USD" in command(chargeback, "periods", "show", "2025-03").stdout
    explained = command.json(chargeback, "rules", "explain", "1")
    assert [one["step"] for one in explained["lines"]] == ["price", "subsidy", "rounding"]
    assert (explained["due"], explained["payers"]) == ("15.81", {"Dean": "3.96"})
    statement = command.json(chargeback, "credits", "statement", "Dean", "-p", "2025-03")
    assert statement["totals"] == {"USD": "3.97"}
    command(chargeback, "credits", "statement", "Nobody", code=1)


def test_credits_pools_and_budgets_are_listed(command: Command) -> None:
    credit = ("credits", "add", "grant", "--payer", "NSF", "--amount", "100", "--currency", "USD", "--window", "year")
    command("chargeback", *credit)
    (found,) = command.json("chargeback", "credits", "list", "-p", "2025-03")["credits"]
    assert (found["name"], found["balances"][0]["left"]) == ("grant", "100.00")
    command("chargeback", "pools", "add", "idle", "--for", "untagged", "--method", "even")
    command("chargeback", "rules", "split", "s", "--part", "A=1/3", "--part", "B=2/3", "--for", "project=p")
    kinds = {one["kind"] for one in command.json("chargeback", "rules", "list")["versions"]}
    assert kinds == {"credit", "pool", "split"}
    assert command.json("chargeback", "pools", "show", "-p", "2025-03") == {
        "period": "2025-03",
        "pools": [],
        "given": [],
    }
    command("chargeback", "funds", "add", "F", "--budget", "10", "--currency", "USD")
    (fund,) = command.json("chargeback", "budgets", "list")["budgets"]
    assert (fund["fund_org"], fund["left"], fund["percent"]) == ("F", "10", 0)
    assert command.json("chargeback", "budgets", "check") == {"told": 0}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("rules", "run", "-p", "2019-01"), 1),
        (("rules", "run", "-p", "garbage"), 2),
        (("rules", "explain", "99"), 1),
        (("rules", "approve", "99"), 1),
        (("rules", "split", "s", "--part", "A=50%", "--for", "project=p"), 1),
        (("rules", "split", "s", "--part", "A", "--for", "project=p"), 2),
        (("rules", "subsidy", "s", "--payer", "D", "--percent", "20", "--for", "colour=red"), 2),
        (("rules", "add", "nonsense", "n", "--definition", "{}"), 2),
        (("rules", "add", "markup", "n", "--definition", "{"), 2),
        (("rules", "end", "markup", "unknown", "--from", "2025-03-01"), 1),
        (("rates", "estimate", "HPC", "10"), 1),
        (("rates", "add", "HPC", "--unit", "hour", "--price", "1,5", "--currency", "USD"), 1),
        (("rates", "add", "HPC", "--unit", "hour", "--price", "1", "--currency", "USD", "--from", "March"), 2),
        (("credits", "show", "unknown"), 1),
        (("pools", "show", "-p", "garbage"), 2),
    ],
)
def test_what_cannot_be_done_ends_with_its_exit_code(command: Command, arguments: tuple[str, ...], code: int) -> None:
    done = command("chargeback", *arguments, code=code)
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
