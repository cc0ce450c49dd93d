"""The columns of FOCUS 1.0 to 1.4: their types, in which version each came, and which data set a header belongs to."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

NUMBERS = frozenset(
    [
        "AmortizedCost",
        "BilledCost",
        "CommitmentDiscountQuantity",
        "ConsumedQuantity",
        "ContractedCost",
        "ContractedUnitPrice",
        "EffectiveCost",
        "ListCost",
        "ListUnitPrice",
        "PricingCurrencyContractedUnitPrice",
        "PricingCurrencyEffectiveCost",
        "PricingCurrencyListUnitPrice",
        "PricingQuantity",
        "UsageQuantity",
    ]
)
MOMENTS = frozenset(["BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"])
TAGS = frozenset({"Tags", "AllocatedTags"})

SINCE_1_0 = (
    "AvailabilityZone",
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "SkuId",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
)
NEW_IN = {
    "1.4": ["CommitmentProgramEligibilityDetails", "InvoiceDetailId"],
    "1.3": [
        "AllocatedMethodDetails",
        "AllocatedMethodId",
        "AllocatedResourceId",
        "AllocatedResourceName",
        "AllocatedTags",
        "ContractApplied",
        "HostProviderName",
        "ServiceProviderName",
    ],
    "1.2": [
        "BillingAccountType",
        "InvoiceId",
        "PricingCurrency",
        "PricingCurrencyContractedUnitPrice",
        "PricingCurrencyEffectiveCost",
        "PricingCurrencyListUnitPrice",
        "SubAccountType",
    ],
    "1.1": [
        "CapacityReservationId",
        "CapacityReservationStatus",
        "CommitmentDiscountQuantity",
        "CommitmentDiscountUnit",
        "ServiceSubcategory",
        "SkuMeter",
        "SkuPriceDetails",
    ],
}
NAMES = frozenset(SINCE_1_0).union(*NEW_IN.values())
_BY_LOWER_CASE = {name.lower(): name for name in NAMES}

# Mandatory in every version and not nullable; what conformance asks for beyond what a bill needs.
MANDATORY = (
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ServiceCategory",
    "ServiceName",
)
# Without these no row can become a charge.
NEEDED = ("BilledCost", "BillingPeriodStart")
CATEGORIES = frozenset(["Usage", "Purchase", "Tax", "Credit", "Adjustment"])


class Dataset(StrEnum):
    """The data sets of FOCUS. Only the first one is billed."""

    COST_AND_USAGE = "cost_and_usage"
    BILLING_PERIOD = "billing_period"
    INVOICE_DETAIL = "invoice_detail"
    CONTRACT_COMMITMENT = "contract_commitment"


# A header with this column, and without ListCost and ChargePeriodStart, is of the data set beside it.
_MARKS = {
    "InvoiceIssueStatus": Dataset.INVOICE_DETAIL,
    "InvoiceDetailGrain": Dataset.INVOICE_DETAIL,
    "BillingPeriodStatus": Dataset.BILLING_PERIOD,
    "ContractCommitmentId": Dataset.CONTRACT_COMMITMENT,
}
_MARKS_BY_LOWER_CASE = {name.lower(): name for name in _MARKS}


def canonical_name(written: str) -> str:
    """The column as FOCUS spells it; what FOCUS does not know stays as written, without blanks around."""
    name = written.strip().strip("\ufeff").strip()
    lower = name.lower()
    return _BY_LOWER_CASE.get(lower) or _MARKS_BY_LOWER_CASE.get(lower) or name


def dataset_of(columns: Collection[str]) -> Dataset:
    """Which data set of FOCUS a header (canonical names) belongs to; unknown ones count as cost and usage."""
    if not {"ListCost", "EffectiveCost", "ChargePeriodStart"} & set(columns):
        for mark, dataset in _MARKS.items():
            if mark in columns:
                return dataset
    return Dataset.COST_AND_USAGE


def version_of(columns: Collection[str]) -> str:
    """The FOCUS version that a header is of: the newest one of whose own columns it has any."""
    for version, new in NEW_IN.items():
        if any(name in columns for name in new):
            return version
    return "1.0"
