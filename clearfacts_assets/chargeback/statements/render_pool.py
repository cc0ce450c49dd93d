"""Many statements at once: processes that set them, each replaced before typst's memory of earlier pages is large."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from clearfacts_assets.chargeback.statements.making import Made, Order, make
from clearfacts_assets.chargeback.statements.typesetting import TypstRenderer

PAGES_OF_A_TASK = 20
TASKS_OF_A_WORKER = 3  # typst keeps about 2 MB of each page that it has set
FEW_PAGES = 10  # that are set here: starting a process takes longer

_renderer: TypstRenderer | None = None


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """What a renderer is set up with."""

    templates: Path | None = None
    font_paths: tuple[Path, ...] = ()

    def renderer(self, folder: Path) -> TypstRenderer:
        return TypstRenderer(folder, self.templates, self.font_paths)


def make_all(orders: Iterable[Order], template_set: TemplateSet, workers: int) -> Iterator[Made]:
    """Every order, in their order. Holds a few tasks at a time, however many orders come."""
    tasks = _tasks(orders)
    first = next(tasks, [])
    second = next(tasks, None)
    with tempfile.TemporaryDirectory(prefix="clearfacts-renderer-") as folder:
        if workers == 0 or (second is None and sum(one.weight for one in first) <= FEW_PAGES):
            renderer = template_set.renderer(Path(folder) / "renderer")
            for task in (first, second or [], *tasks):
                for order in task:
                    yield make(renderer, order)
            return
        # Forks of a process that has no threads and has imported what is needed: a fork of this one might hang.
        context = get_context("forkserver")
        context.set_forkserver_preload([make.__module__])
        pool = ProcessPoolExecutor(
            workers,
            mp_context=context,
            initializer=_set_up,
            initargs=(template_set, folder),
            max_tasks_per_child=TASKS_OF_A_WORKER,
        )
        with pool:
            yield from _in_turn(pool, (first, second or []), tasks, workers)


def _in_turn(
    pool: ProcessPoolExecutor, begun: Iterable[list[Order]], tasks: Iterator[list[Order]], workers: int
) -> Iterator[Made]:
    under_way: deque[Future[list[Made]]] = deque(pool.submit(_work, task) for task in begun if task)
    while under_way:
        while len(under_way) < workers + 2 and (task := next(tasks, None)):
            under_way.append(pool.submit(_work, task))
        yield from under_way.popleft().result()


def _tasks(orders: Iterable[Order]) -> Iterator[list[Order]]:
    task: list[Order] = []
    for order in orders:
        task.append(order)
        if sum(one.weight for one in task) >= PAGES_OF_A_TASK:
            yield task
            task = []
    if task:
        yield task


def _set_up(template_set: TemplateSet, folder: str) -> None:
    global _renderer
    _renderer = template_set.renderer(Path(tempfile.mkdtemp(dir=folder)))


def _work(orders: list[Order]) -> list[Made]:
    assert _renderer is not None  # noqa: S101 - _set_up has run in this process
    return [make(_renderer, order) for order in orders]
