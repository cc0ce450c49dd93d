"""How the tests are shared by several processes."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

from clearfacts_assets_tests.fixtures.distribution import ByFile, group_of, ordered


def one(name: str, *markers: str) -> Any:
    marked = dict.fromkeys(markers, True)
    return SimpleNamespace(nodeid=f"clearfacts_assets_tests/{name}", get_closest_marker=marked.get)


def test_xdist_asks_us_which_tests_belong_together() -> None:
    """A private method: a version that asks another one would make each file's fixtures in every process."""
    assert ByFile._split_scope(None, "clearfacts_assets_tests/unit/test_a.py::test_one[x::y]") == (  # type: ignore[arg-type]
        "clearfacts_assets_tests/unit/test_a.py"
    )
    (base,) = ByFile.__bases__
    assert "self._split_scope(" in inspect.getsource(base)


def test_files_that_share_what_helm_renders_are_one_group_and_faults_are_played_one_by_one() -> None:
    together = {group_of(f"clearfacts_assets_tests/unit/test_chart{more}.py::test_a") for more in ("", "_pods")}
    assert together == {"chart"}
    apart = {group_of(f"clearfacts_assets_tests/faults/test_schedules.py::test_a[{lane}]") for lane in range(3)}
    assert len(apart) == 3


def test_what_waits_and_what_computes_take_turns_with_their_whole_files_and_units_come_last() -> None:
    files = ["unit/test_a.py::1", "integration/test_b.py::1", "integration/test_b.py::2", "integration/test_d.py::1"]
    faults = ["faults/test_c.py::1", "faults/test_c.py::2"]
    waiting = [one("integration/test_w.py::1", "waits"), one("integration/test_w.py::2", "waits")]
    late = [one("faults/test_x.py::1", "waits")]
    played = [item.nodeid.partition("/")[2] for item in ordered([*map(one, files + faults), *waiting, *late])]
    assert played == [
        *("faults/test_c.py::1", "faults/test_x.py::1", "integration/test_b.py::1", "integration/test_b.py::2"),
        *("integration/test_w.py::1", "integration/test_w.py::2", "faults/test_c.py::2", "integration/test_d.py::1"),
        "unit/test_a.py::1",
    ]
