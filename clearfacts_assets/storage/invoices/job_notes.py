"""What is kept with a job beside its columns (``jobs.metadata``): every name that it may have, and what stands there.

Each note is written in one place. What a question to the database decides by has a column instead (``BY_COLUMN``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

BY_COLUMN = ("whole_day", "part")


class Answer(TypedDict):
    """What the one who asked for the job was told; whoever asks again with the same key is told the same."""

    estimated_completion: str | None
    message: str


class Request(TypedDict, total=False):
    """The request of the API that the job came from."""

    sha256: str  # of what was asked for
    answer: Answer
    not_launched: bool  # Dagster did not take the run: the key may be used again


class Problem(TypedDict):
    """What went wrong in an asset without stopping the run, which fails at its end because of it."""

    asset: str
    text: str


class JobNotes(TypedDict, total=False):
    """A job's notes. Who asks (API, CLI) writes the first ones, each asset of the run its own."""

    # by whoever asked for the job
    invoice_ids: Sequence[str]  # only these; empty for all of the day
    force_processing: bool
    retry_of: str  # the first job of a chain of retries
    request: Request
    # when the run begins
    job_name: str
    triggered_by: str  # a person, an API key, cli, dagster, or the schedule's or sensor's name
    worker: Mapping[str, Any]  # the process: orchestration/process.py
    inherited_from: str  # the job that this one re-executes in part
    problems: Sequence[Problem]
    # raw_invoices
    window: Sequence[str]  # from and to, UTC
    asked_part: str  # 3/10: only this part of the day, whatever came of it; empty for all of it
    retrieval: Mapping[str, Any]  # invoices/retrieval.py: Retrieval
    whole_day: bool  # the source gave all of the day: what it did not give is withdrawn
    part: str | None  # 3/10: the source gave all of this part of the day
    # an asset that works on what earlier runs of the day left
    carried_over: int
    # job_metrics
    results: Mapping[str, int]
    measures: str  # the job that was measured


def merged(known: Mapping[str, Any], more: Mapping[str, Any]) -> JobNotes:
    """Both; a name noted before gets its new value."""
    return cast(JobNotes, {**known, **more})


def as_columns(notes: Mapping[str, Any]) -> dict[str, Any]:
    """The notes as the table has them: some in columns of their own, the others under ``details``."""
    own = {name: notes[name] for name in BY_COLUMN if name in notes}
    return {**own, "details": {name: value for name, value in notes.items() if name not in BY_COLUMN}}
