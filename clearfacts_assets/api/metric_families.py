"""The two shapes in which most figures of /metrics are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from clearfacts_assets.storage.incremental_sums import Times


def gauge(name: str, purpose: str, label: str, values: Mapping[str, float]) -> Metric:
    """One gauge with one label."""
    family = GaugeMetricFamily(name, purpose, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def histogram(
    name: str,
    purpose: str,
    bounds: Sequence[float],
    times: dict[tuple[str, ...], Times],
    labels: Sequence[str] = (),
) -> Metric:
    """A histogram for each set of labels."""
    family = HistogramMetricFamily(name, purpose, labels=list(labels))
    for values, one in times.items():
        buckets = [(str(bound), float(number)) for bound, number in zip(bounds, one.up_to, strict=True)]
        family.add_metric(list(values), [*buckets, ("+Inf", float(one.count))], sum_value=one.total_seconds)
    return family
