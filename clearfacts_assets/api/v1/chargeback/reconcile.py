"""``/chargeback/reconcile``: from the provider's total to what is due, every difference named."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from clearfacts_assets.api.envelope import Success
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import waits
from clearfacts_assets.api.v1.chargeback.dependencies import Amount, SeesAll, Served, told
from clearfacts_assets.api.v1.chargeback.periods import PeriodName
from clearfacts_assets.storage.chargeback.summaries import reconciliation

router = APIRouter(prefix="/chargeback/reconcile", tags=["chargeback"])


class Step(BaseModel):
    """One difference between what was exported and what is due."""

    name: str
    amount: Amount


class InvoiceTieOut(BaseModel):
    """One invoice of the provider."""

    invoice_id: str
    issuer: str
    exported: Amount
    charges: Amount
    difference: Amount
    invoice: Amount | None = Field(None, description="as the provider's Invoice Detail says it; null without one")
    to_invoice: Amount | None = Field(None, description="invoice less exported; null without one")


class ReconciledView(BaseModel):
    """One source in one currency."""

    source: str
    currency: str
    basis: str
    exported: Amount = Field(description="BilledCost as the files say it")
    steps: list[Step]
    charges: Amount = Field(description="BilledCost of what the files have become")
    due: Amount
    unexplained: Amount = Field(description="what no step explains: 0")
    refused_rows: int = Field(description="their amounts are in neither sum")
    invoices: list[InvoiceTieOut]


class Reconciliation(BaseModel):
    """A month, a source and a currency at a time."""

    period: str
    sources: list[ReconciledView]
    findings: dict[str, dict[str, int]] = Field(description="by currency, how many charges have which flag")
    balanced: bool = Field(description="whether nothing is left over")


@router.get("/{period}", responses=errors(), summary="From the provider's total to what is due")
@waits
def reconcile_period(period: PeriodName, _: SeesAll, served: Served) -> Success[Reconciliation]:
    """Of a period without imports there is nothing to say, and it balances."""
    with told():
        found, findings, balanced = reconciliation(served.engine, period)
    sources = [ReconciledView.model_validate(one.as_result()) for one in found]
    return Success(data=Reconciliation(period=period, sources=sources, findings=findings, balanced=balanced))
