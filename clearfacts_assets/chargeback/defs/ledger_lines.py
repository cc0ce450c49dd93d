"""``ledger_lines``: a month's charges on their way from list to due, with checks, tables and a chart.

(No postponed annotations here: Dagster reads them as they are.)
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from clearfacts_assets import settings
from clearfacts_assets.chargeback.defs.partitions import MONTHS
from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.chargeback.notifications.budgets import tell_of_budgets
from clearfacts_assets.orchestration.tags import TRIGGERED_BY_TAG
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.chargeback.rates.balances import credits
from clearfacts_assets.storage.chargeback.rates.rule_runs import RunResult, apply_rules
from clearfacts_assets.storage.chargeback.rates.spending import budgets_of
from clearfacts_assets.storage.chargeback.rates.tie_out import Tied, tie_out

APPROVED, LEDGER_LINES = "approved_charges", "ledger_lines"
STEPS = ("list", "discount", "markup", "pool", "allowance", "subsidy", "credit", "prepayment", "rounding", "carried")

LINES_ADD_UP = dg.AssetCheckSpec(
    "lines_add_up_to_what_is_billed",
    asset=LEDGER_LINES,
    description=(
        "For each charge: what is billed + what others pay = what it costs, in whole cents. Each charge that is due "
        "has lines, and no other one."
    ),
)
EVERY_RULE_APPLIES = dg.AssetCheckSpec(
    "every_rule_applies",
    asset=LEDGER_LINES,
    description="No charge lacks a rate, a rate for its class, a unit that can be priced, or a quantity.",
)
POOLS_ARE_EMPTY = dg.AssetCheckSpec(
    "pools_are_given_on", asset=LEDGER_LINES, description="What pools took is borne by somebody; else it stands here."
)


@dg.asset(
    partitions_def=MONTHS,
    deps=[APPROVED],
    group_name="chargeback",
    owners=["team:research-computing"],
    pool="ledger",
    check_specs=[LINES_ADD_UP, EVERY_RULE_APPLIES, POOLS_ARE_EMPTY],
)
def ledger_lines(context: dg.AssetExecutionContext, database: DatabaseResource) -> Iterator[dg.MaterializeResult[None]]:
    """From list to due: rates, markup, splits, pools, allowances, subsidies, credits, prepayments, rounding, in this
    order, each effect a line of its own. Once more changes nothing; a finalized month stays as it is.
    """
    engine, month, now = database.engine(), context.partition_key, datetime.now(UTC)
    actor = context.run.tags.get(TRIGGERED_BY_TAG) or "dagster"
    try:
        results = apply_rules(engine, month, actor=actor, now=now)
    except ChargebackError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    if any(one.run_id for one in results):
        tell_of_budgets(engine, settings.load(), now=now)
    tied = tie_out(engine, month)
    yield dg.MaterializeResult(
        metadata={
            **_of_run(results[0], tied),
            "later months that followed": ", ".join(one.period for one in results[1:] if one.run_id) or "none",
            "credits": _table(_CREDITS, _credits(credits(engine, month))),
            "budgets": _table(_BUDGETS, [one.as_result() for one in budgets_of(engine, now.date())]),
            "look": f"clearfacts chargeback rules run -p {month}",
        },
        check_results=list(_checks(results[0], tied)),
    )


_CREDITS = {"name": "string", "payer": "string", "of": "string", "used": "string", "left": "string"}
_BUDGETS = {"fund_org": "string", "budget": "string", "spent": "string", "left": "string", "percent": "int"}


application_of_rules = dg.define_asset_job(
    "application_of_rules",
    selection=dg.AssetSelection.assets(LEDGER_LINES),
    description="Applies rates and rules to a month's charges, and to later months that follow from it.",
)


def _of_run(run: RunResult, tied: Tied) -> dict[str, Any]:
    totals = {currency: of for currency, of in run.totals.items() if currency != "findings"}
    steps = [
        {"currency": currency, "step": step, "amount": of[step]}
        for currency, of in totals.items()
        for step in (*STEPS, "due")
        if step in of
    ]
    payers = [
        {"currency": currency, "payer": payer, "amount": amount}
        for currency, of in totals.items()
        for payer, amount in of["payers"].items()
    ]
    return {
        "dagster/row_count": tied.charges,
        "lines written": run.added,
        "lines withdrawn": run.withdrawn,
        "finalized": run.frozen,
        **{f"due, {currency}": float(of["due"]) for currency, of in totals.items()},
        "from list to due": _table({"currency": "string", "step": "string", "amount": "string"}, steps),
        "paid by others": _table({"currency": "string", "payer": "string", "amount": "string"}, payers),
        "the way": dg.MetadataValue.md(
            "\n\n".join(waterfall(one, of) for one, of in totals.items()) or "nothing is due"
        ),
    }


def _checks(run: RunResult, tied: Tied) -> Iterator[dg.AssetCheckResult]:
    shown = _table({"charge": "int", "why": "string"}, [{"charge": c, "why": why} for c, why in tied.wrong])
    yield dg.AssetCheckResult(
        check_name=LINES_ADD_UP.name,
        passed=not tied.count,
        metadata={"charges": tied.charges, "wrong": tied.count, "which": shown, "sums": tied.as_result()["sums"]},
    )
    findings = [{name: str(value) for name, value in one.items()} for one in run.findings]
    columns = dict.fromkeys(("code", "message", "count", "charges"), "string")
    yield dg.AssetCheckResult(
        check_name=EVERY_RULE_APPLIES.name, passed=not findings, metadata={"findings": _table(columns, findings)}
    )
    pools = [pool for currency, of in run.totals.items() if currency != "findings" for pool in of["pools"]]
    left = [pool for pool in pools if float(pool["left"])]
    yield dg.AssetCheckResult(
        check_name=POOLS_ARE_EMPTY.name,
        passed=not left,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"pools": _table(dict.fromkeys(("pool", "taken", "given", "left"), "string"), pools)},
    )


def _credits(found: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [
        {"name": one["name"], "payer": one["payer"], "of": each["of"], "used": each["used"], "left": each["left"]}
        for one in found
        for each in one["balances"]
    ]


def _table(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()])
    records = [dg.TableRecord({name: row.get(name) for name in columns}) for row in rows]
    return dg.MetadataValue.table(records, schema=schema)


def waterfall(currency: str, of: Mapping[str, Any]) -> str:
    """From list to due as bars of text that hang where the one before ended; a picture for a glance, no account."""
    width = 40
    steps = [(name, float(of[name])) for name in STEPS if float(of.get(name) or 0)]
    total, most = 0.0, max([abs(amount) for _, amount in steps] + [1.0])
    lines = [f"**{currency}**", "", "```"]
    for name, amount in [*steps, ("due", float(of["due"]))]:
        begin = 0.0 if name in ("list", "due") else min(total, total + amount)
        bar = "█" * max(1, round(abs(amount) / most * width)) if amount else ""
        lines.append(f"{name:<11}{' ' * max(0, round(begin / most * width))}{bar} {amount:,.2f}")
        total += 0 if name == "due" else amount
    return "\n".join([*lines, "```"])
