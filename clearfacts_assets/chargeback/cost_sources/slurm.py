"""Slurm's accounting: what ``sacct --parsable2`` (or ``--parsable``) prints becomes one row of use a job.

A job is charged for the time that it held its resources (Elapsed, without the time in which it was suspended), in the
month in which it ended. Steps repeat their job and are left out. Whatever is between the delimiters of a job's name
stays its name.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

from clearfacts_assets.chargeback.cells import BadCell, text_of
from clearfacts_assets.chargeback.cost_sources.opening import Survey, head_of, refused, survey
from clearfacts_assets.chargeback.cost_sources.opening import text_of as text_in
from clearfacts_assets.chargeback.cost_sources.usage import Usage, Used, in_utc, opened_as, priced, refusal
from clearfacts_assets.chargeback.ports import ROWS_OF_A_BATCH, Batch, Limits, Opened
from clearfacts_assets.messages import Message
from clearfacts_assets.money import EXACT

KIND = "slurm"
DELIMITER = "|"
SERVICE, UNIT = "HPC {partition}", "core-second"
_HEADS = ("jobid|", "jobidraw|", "cluster|jobid|")
_NEEDED = ("jobid", "end")
_NAME = "jobname"
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)(?P<part>\.\d+)?")
_NOT_STARTED = frozenset({"", "unknown", "none", "invalid"})
_SIZES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_GIB = 2**30
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)([kmgtp]?)b?", re.IGNORECASE)


class Slurm:
    """Recognises a header of sacct."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    def recognises(self, path: Path, head: bytes) -> bool:
        return self._usage.format.kind == KIND or looks_like_sacct(head)

    def open(self, path: Path, limits: Limits) -> SlurmExport:
        seen = survey(path, limits)
        with head_of(path, seen) as stream:
            header = _header(stream.readline(limits.cell_characters))
        for name in _NEEDED:
            if name not in header:
                raise refused(
                    path, "missing_column", Message("sacct's header has no {name}", {"name": name}), line=1, column=name
                )
        if "elapsed" not in header and "elapsedraw" not in header:
            raise refused(path, "missing_column", Message("sacct's header has neither Elapsed nor ElapsedRaw"), line=1)
        opened = opened_as(KIND, path, seen.sha256, seen.size, f"sacct bar {seen.encoding}", tuple(header))
        return SlurmExport(opened, seen, header, self._usage, limits)


def looks_like_sacct(head: bytes) -> bool:
    """Whether a file that begins so was written by sacct."""
    return head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").lower().startswith(_HEADS)


def source(usage: Usage) -> Slurm:
    return Slurm(usage)


class SlurmExport:
    """One opened file."""

    def __init__(self, opened: Opened, seen: Survey, header: Sequence[str], usage: Usage, limits: Limits) -> None:
        self.opened, self._seen, self._header, self._limits = opened, seen, list(header), limits
        form = usage.format
        self._usage = replace(usage, format=replace(form, service=form.service or SERVICE, unit=form.unit or UNIT))
        self._jobs = Jobs(self._usage)

    def batches(self) -> Iterator[Batch]:
        with text_in(self.opened.path, self._seen) as stream:
            yield from self._batches(stream)

    def _batches(self, stream: io.TextIOBase) -> Iterator[Batch]:
        stream.readline(self._limits.cell_characters)
        batch, number = Batch(1), 0
        for line_number, text in enumerate(iter(lambda: stream.readline(self._limits.cell_characters), ""), start=2):
            if not text.strip():
                continue
            try:
                row = self._row(text)
            except BadCell as error:
                batch.refusals.append(refusal(self.opened.name, line_number, 0, text, error, text[:80]))
            else:
                if row is not None:
                    number += 1
                    batch.add(row, line_number, text)
            if len(batch.rows) >= ROWS_OF_A_BATCH or len(batch.refusals) >= ROWS_OF_A_BATCH:
                yield batch
                batch = Batch(number + 1)
        if batch.rows or batch.refusals:
            yield batch

    def _row(self, text: str) -> list[str] | None:
        """None for a step, and for a job that never ran. Raises BadCell."""
        job = dict(zip(self._header, cells_of(text, self._header), strict=True))
        if "." in job["jobid"]:
            return None
        used = self._jobs.used(job)
        return priced(used, self._usage) if used else None


def cells_of(text: str, header: Sequence[str]) -> list[str]:
    """The record's cells, as many as the header has. What is too much belongs to the job's name. Raises BadCell."""
    cells = text.rstrip("\r\n").split(DELIMITER)
    more = len(cells) - len(header)
    if more == 1 and not cells[-1] and header[-1:] != [_NAME]:
        cells, more = cells[:-1], 0  # --parsable ends its lines with a delimiter
    if more > 0 and _NAME in header:
        place = header.index(_NAME)
        cells[place : place + more + 1] = [DELIMITER.join(cells[place : place + more + 1])]
    if len(cells) != len(header):
        raise BadCell("wrong_cell_count", f"{len(cells)} cells where the header has {len(header)}")
    return cells


class Jobs:
    """What each job used."""

    def __init__(self, usage: Usage) -> None:
        self._format = usage.format
        self._columns = {name: column.lower() for name, column in usage.format.columns.items()}

    def used(self, job: Mapping[str, str]) -> Used | None:
        """None for a job that never ran. Raises BadCell."""
        state = job.get("state", "").partition(" ")[0].upper()
        seconds = self._seconds(job)
        if seconds is not None and not seconds and state != "RUNNING":
            return None
        end = "" if job["end"].strip().lower() in _NOT_STARTED else in_utc(job["end"], self._format.timezone, "End")
        if not end:
            if state == "PENDING":
                return None
            raise BadCell("not_ended", "the job has not ended: it is charged in the month in which it ends", "End")
        if seconds is None:
            raise BadCell("missing", "there is no elapsed time", "Elapsed")
        start = self._start(job, end, seconds)
        quantity = EXACT.multiply(self._size(job), seconds)
        return Used(
            service=_filled(self._format.service, job),
            quantity=quantity,
            unit=self._format.unit,
            month=end[:7],
            start=start,
            end=end,
            account=job.get("cluster", "").strip(),
            sub_account=text_of(job.get("account", "")),
            resource_id=text_of(job.get("jobidraw", "") or job["jobid"]),
            resource_name=job.get(_NAME, "").strip(),
            tags=self._tags(job),
        )

    def _tags(self, job: Mapping[str, str]) -> dict[str, str]:
        found = {"project_id": text_of(job.get("account", ""))}
        for name, column in self._columns.items():
            found[name] = text_of(job.get(column, ""))
        return found | {"slurm_user": text_of(job.get("user", ""))}

    def _start(self, job: Mapping[str, str], end: str, seconds: Decimal) -> str:
        said = job.get("start", "").strip()
        if said.lower() not in _NOT_STARTED:
            return in_utc(said, self._format.timezone, "Start")
        moment = datetime.fromisoformat(end.removesuffix("Z")).replace(tzinfo=UTC) - timedelta(seconds=float(seconds))
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _seconds(self, job: Mapping[str, str]) -> Decimal | None:
        """How long it ran, in whole seconds, as Slurm counts: a part of one is no use. Raises BadCell."""
        raw, text = job.get("elapsedraw", "").strip(), job.get("elapsed", "").strip()
        said = elapsed_of(text) if text and text.lower() not in _NOT_STARTED else None
        if not raw:
            return None if said is None else said.quantize(Decimal(1), rounding=ROUND_FLOOR)
        if not raw.isascii() or not raw.isdigit():
            raise BadCell("bad_number", f"{raw!r} is no number of seconds", "ElapsedRaw")
        seconds = Decimal(raw)
        if said is not None and abs(said - seconds) >= 1:
            raise BadCell("elapsed_differs", f"Elapsed says {said} s and ElapsedRaw {seconds} s", "Elapsed")
        return seconds

    def _size(self, job: Mapping[str, str]) -> Decimal:
        """How many cores, or how much by the weights of the partition. Raises BadCell."""
        tres = tres_of(job.get("alloctres", ""))
        weights = self._format.weights.get(text_of(job.get("partition", ""))) or self._format.weights.get("*")
        if not weights:
            cores = job.get("alloccpus", "").strip() or job.get("ncpus", "").strip()
            if cores.isascii() and cores.isdigit():
                return Decimal(cores)
            if "cpu" in tres:
                return tres["cpu"]
            raise BadCell("missing", "neither AllocCPUS nor AllocTRES says how many cores it had", "AllocCPUS")
        if not tres:
            raise BadCell("missing", "weights need AllocTRES", "AllocTRES")
        parts = [EXACT.multiply(Decimal(weight), tres.get(name, Decimal(0))) for name, weight in weights.items()]
        if self._format.measure == "max":
            return max(parts)
        total = Decimal(0)
        for part in parts:
            total = EXACT.add(total, part)
        return total


def elapsed_of(text: str) -> Decimal:
    """Seconds, of ``d-hh:mm:ss``, ``hh:mm:ss``, ``mm:ss`` and each with a part of a second. Raises BadCell."""
    found = _TIME.fullmatch(text)
    if found is None or (found["days"] and not found["hours"]):
        raise BadCell("bad_elapsed", f"{text!r} is no elapsed time: d-hh:mm:ss, hh:mm:ss or mm:ss", "Elapsed")
    whole = int(found["days"] or 0) * 86400 + int(found["hours"] or 0) * 3600
    return Decimal(whole + int(found["minutes"]) * 60 + int(found["seconds"])) + Decimal(found["part"] or 0)


def tres_of(text: str) -> dict[str, Decimal]:
    """``cpu=8,mem=16G,gres/gpu:a100=2`` by name; mem in GiB, gpu without its type where no total says it. Raises
    BadCell."""
    found: dict[str, Decimal] = {}
    typed = Decimal(0)
    for part in filter(None, text.strip().split(",")):
        name, _, value = part.partition("=")
        name = name.strip().lower().removeprefix("gres/")
        read = _MEMORY.fullmatch(value.strip())
        if read is None:
            raise BadCell("bad_tres", f"{part!r} is no TRES", "AllocTRES")
        amount = Decimal(read[1]) * _SIZES[read[2].lower()]
        if name == "mem":
            amount = EXACT.divide(amount, Decimal(_GIB))
        found[name] = amount
        if name.startswith("gpu:"):
            typed += amount
    if typed and "gpu" not in found:
        found["gpu"] = typed
    return found


def _filled(service: str, job: Mapping[str, str]) -> str:
    """Raises BadCell where a field that the service is named by is empty."""
    try:
        named = service.format_map({name: value.strip() for name, value in job.items()})
    except (KeyError, ValueError, IndexError):
        raise BadCell("bad_service", f"{service!r} names a column that the file does not have") from None
    if "{partition}" in service and not job.get("partition", "").strip():
        raise BadCell("missing", "there is no partition", "Partition")
    return named


def _header(line: str) -> list[str]:
    names = [name.strip().lower() for name in line.lstrip("\ufeff").rstrip("\r\n").split(DELIMITER)]
    return names[:-1] if names and not names[-1] else names
