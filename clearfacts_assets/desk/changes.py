"""The way of every form that changes something: do it and lead on, or show the page with what is wrong."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Response
from starlette.responses import RedirectResponse

from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.api.v1.chargeback.dependencies import told
from clearfacts_assets.desk.visits import Visit


def done_or_shown(visit: Visit, work: Callable[[], str | Response], shown: Callable[[ApiError], Response]) -> Response:
    """What ``work`` answers: a page, or the address of one to lead to. Where it raises an ApiError, or what chargeback
    refuses, ``shown`` makes the form's page again, which tells the problem and keeps what was typed.

    What it changes is audited with all that is known of the caller.
    """
    try:
        with told(visit.caller):
            answer = work()
    except ApiError as problem:
        return shown(problem)
    return RedirectResponse(answer, 303) if isinstance(answer, str) else answer
