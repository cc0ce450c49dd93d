"""Cost exports of any size for benchmarks and tests: FOCUS 1.2, as a mid-sized university's month looks.

Each row says something of its own; about 2,800 sets of tags, 5,000 resources and 40 prices repeat.
"""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

COLUMNS = [
    "AvailabilityZone",
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "CapacityReservationId",
    "CapacityReservationStatus",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "CommitmentDiscountUnit",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
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
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
]
TAG_SETS = 2848
SERVICES = ("Virtual Machines", "Object Storage", "HPC Cluster", "Database", "Container Service", "Data Transfer")


def write_export(
    path: Path, rows: int, *, period: str = "2025-03", seed: int = 7, account: str = "007700112233"
) -> None:
    """A file with that many rows for the month; the same seed gives the same bytes."""
    chance = random.Random(seed)
    following = f"{period[:5]}{int(period[5:]) + 1:02d}" if period[5:] != "12" else f"{int(period[:4]) + 1}-01"
    tags = [
        json.dumps(
            {
                "pi_email": f"pi{number % 180:03d}@lab{number % 23}.example.edu",
                "project_id": f"prj-{number % 700:03d}",
                "fund_org": f"FND-{number % 700:06d}",
                "environment": ("prod", "test", "dev")[number % 3],
                "run": f"{number:05d}",
            }
        )
        for number in range(TAG_SETS)
    ]
    constant = dict.fromkeys(COLUMNS, "") | {
        "BillingAccountId": account,
        "BillingAccountName": "Example University",
        "BillingAccountType": "Account",
        "BillingCurrency": "USD",
        "BillingPeriodStart": f"{period}-01T00:00:00Z",
        "BillingPeriodEnd": f"{following}-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "InvoiceIssuerName": "Example Cloud",
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "ProviderName": "Example Cloud",
        "PublisherName": "Example Cloud",
        "SubAccountType": "Account",
        "ResourceType": "instance",
    }
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for number in range(rows):
            writer.writerow(constant | _varied(number, chance, period, tags))


def _varied(number: int, chance: random.Random, period: str, tags: list[str]) -> dict[str, str]:
    price = 0.0125 * (1 + number % 40)
    quantity = chance.randint(1, 90_000) / 100
    listing = price * quantity
    day, hour = 1 + number % 28, number % 24
    service = SERVICES[number % len(SERVICES)]
    resource = f"arn:example:compute:eu-1:{number % 5000:012d}/i-{number % 5000:08x}"
    return {
        "AvailabilityZone": f"eu-1{'abc'[number % 3]}",
        "BilledCost": f"{listing * 0.85:.11f}",
        "ChargeDescription": f"{service} usage, {price:.4f} an hour",
        "ChargePeriodStart": f"{period}-{day:02d}T{hour:02d}:00:00Z",
        "ChargePeriodEnd": f"{period}-{day:02d}T{hour:02d}:59:59Z",
        "ConsumedQuantity": f"{quantity:.2f}",
        "ConsumedUnit": "Hours",
        "ContractedCost": f"{listing * 0.9:.11f}",
        "ContractedUnitPrice": f"{price * 0.9:.5f}",
        "EffectiveCost": f"{listing * 0.85:.11f}",
        "InvoiceId": f"INV-{period}-{number % 2}",
        "ListCost": f"{listing:.11f}",
        "ListUnitPrice": f"{price:.4f}",
        "PricingQuantity": f"{quantity:.2f}",
        "PricingUnit": "Hours",
        "RegionId": f"eu-{1 + number % 4}",
        "RegionName": f"Europe {1 + number % 4}",
        "ResourceId": resource,
        "ResourceName": f"node {number % 5000}",
        "ServiceCategory": "Compute",
        "ServiceName": service,
        "SkuId": f"SKU-{number % 40:03d}",
        "SkuMeter": "Compute time",
        "SkuPriceDetails": f'{{"InstanceType": "m{number % 9}.large"}}',
        "SkuPriceId": f"SKU-{number % 40:03d}-P{number % 3}",
        "SubAccountId": f"{number % 90:012d}",
        "SubAccountName": f"lab {number % 90}",
        "Tags": tags[(number * 7919) % TAG_SETS] if number % 50 else "",
    }
