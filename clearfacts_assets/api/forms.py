"""Urlencoded forms of pages, read with a bound: more than it is refused before it is read."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import Request

from clearfacts_assets.api.errors import ApiError, ErrorCode


async def form_of(
    request: Request, *, most_bytes: int, most_fields: int, refusal: str | None = None
) -> dict[str, list[str]]:
    """All values of each field. Raises ApiError PAYLOAD_TOO_LARGE, and INVALID_REQUEST with the ``refusal``."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise ApiError(ErrorCode.PAYLOAD_TOO_LARGE, headers={"Connection": "close"})
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=most_fields)
    except ValueError:
        raise ApiError(ErrorCode.INVALID_REQUEST, refusal) from None
