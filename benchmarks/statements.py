"""How many statements are set in a second, in which memory, and how that grows.

``make bench-statements`` (ARGS="--statements 500 5000 --workers 2"). One-page statements are made of two charges, those
of eight pages of 200; each with a year's chart and its CSV. Time is wall time of all processes together; memory is the
most that the parent and its workers held at once, looked at ten times a second. The reference sets 1.29 a second.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clearfacts_assets.chargeback.statements.framing import About, Identity, Organisation
from clearfacts_assets.chargeback.statements.making import Order
from clearfacts_assets.chargeback.statements.model import DueCharge, StatementKind, Subject
from clearfacts_assets.chargeback.statements.render_pool import TemplateSet, make_all

REFERENCE = 1.29  # statements a second
WHO = Organisation("Example University", "Research Computing", ("12 Observatory Lane",), "billing@example.edu")
SERVICES = ("Virtual Machines", "Object Storage", "GPU Compute", "Managed Database", "Data Transfer")
HISTORY = tuple(
    (name, tuple(Decimal(month * 10 + place) for month in range(12))) for place, name in enumerate(SERVICES)
)


def orders(statements: int, charges: int) -> Iterator[Order]:
    for number in range(1, statements + 1):
        subject = Subject(
            StatementKind.INVESTIGATOR, "2025-03", f"p{number}@x.example.edu", f"project-{number}", "", "USD"
        )
        identity = Identity(f"S-2025-03-{number:04d}", 1, "2025-04-02", "2025-04-16")
        yield Order(
            subject,
            identity,
            WHO,
            About(f"Investigator {number}", "Biology", {"aws": "billed"}, {}, HISTORY, "2025-04-02"),
            [_charge(number * 1000 + place, place) for place in range(charges)],
        )


def _charge(id_: int, place: int) -> DueCharge:
    amount = Decimal(place * 37 % 9973 + 11) / 100
    day = place % 27 + 1
    days = {"start": f"2025-03-{day:02d}T00:00:00Z", "end": f"2025-03-{day + 1:02d}T00:00:00Z"}
    return DueCharge(
        charge_id=id_,
        share=0,
        fund=f"FUND-{place % 2}",
        cost_center="BIO",
        service=SERVICES[place % len(SERVICES)],
        resource_id=f"arn:aws:compute:eu-1:0077:instance/i-{place:012x}",
        resource_name=f"node {place}",
        category="Usage",
        kind="charge",
        origin_period="2025-03",
        source="aws",
        quantity="24",
        unit="Hours",
        listed=amount * 2,
        charged=amount,
        **days,
    )


class Memory:
    """The most that this process and its children held at once, in MiB."""

    def __init__(self) -> None:
        self.most = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        me = psutil.Process()
        while not self._over.wait(0.1):
            held = 0
            for one in [me, *me.children(recursive=True)]:
                try:
                    held += one.memory_info().rss
                except psutil.Error:
                    continue
            self.most = max(self.most, held / 2**20)


def run(statements: int, charges: int, workers: int) -> None:
    with Memory() as memory:
        begun, cpu = time.perf_counter(), _cpu()
        size = 0
        for made in make_all(orders(statements, charges), TemplateSet(), workers):
            assert not made.problem, made.problem
            size += len(made.typeset.pdf)
        seconds, spent = time.perf_counter() - begun, _cpu() - cpu
    rate = statements / seconds
    print(
        f"{statements:5d} statements of {charges:3d} charges, {workers} workers: {rate:6.1f}/s, {rate / REFERENCE:.1f} "
        f"times the reference, {statements / spent:5.1f} a second of CPU, {memory.most:4.0f} MiB, "
        f"{size / statements / 1000:.0f} kB each"
    )


def _cpu() -> float:
    """Seconds of all processes: this one, those it started, and the ended ones of each."""
    me = psutil.Process()
    used = [one.cpu_times() for one in [me, *me.children(recursive=True)]]
    return sum(one.user + one.system + one.children_user + one.children_system for one in used)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--statements", type=int, nargs="+", default=[500, 5000])
    asked.add_argument("--long", type=int, default=60, help="statements of eight pages")
    asked.add_argument("--workers", type=int, default=2)
    said = asked.parse_args()
    for count in said.statements:
        run(count, 2, said.workers)
    run(said.long, 200, said.workers)


if __name__ == "__main__":
    main()
