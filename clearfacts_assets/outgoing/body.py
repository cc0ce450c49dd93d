"""An answer's body, read with one limit on what travels and on what it unpacks to."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import httpx

_PIECE = 64 * 2**10  # bytes unpacked in one go: a gzip bomb costs no more than this beyond the limit
_GZIP = 16 + zlib.MAX_WBITS


class BodyTooLarge(Exception):
    """The body, packed or unpacked, is larger than the limit; reading stopped there."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"larger than {limit:,} bytes")
        self.limit = limit


class BodyMalformed(Exception):
    """The body cannot be unpacked: cut short, damaged, or packed in a way that nobody asked for."""


def read_body(response: httpx.Response, limit: int, into: bytearray | None = None) -> bytearray:
    """The unpacked body of a streamed response, at most ``limit`` bytes, also while it is packed.

    It is appended to ``into``, where one is given, so that what came before a failure is not lost. Raises BodyTooLarge,
    BodyMalformed, and httpx's errors where the connection fails.
    """
    body = bytearray() if into is None else into
    return unpacked(response.iter_raw(), response.headers.get("Content-Encoding", ""), limit, body)


def unpacked(pieces: Iterable[bytes], encoding: str, limit: int, body: bytearray) -> bytearray:
    """The same of a body that comes in pieces, and is packed as the header Content-Encoding says."""
    encoding = encoding.strip().lower()
    if encoding in ("identity", ""):
        return _collect(pieces, limit, body)
    if encoding in ("gzip", "x-gzip"):
        return _unpack(pieces, limit, body)
    raise BodyMalformed(f"packed as {encoding[:20]!r}, which was not asked for")


def _collect(pieces: Iterable[bytes], limit: int, body: bytearray) -> bytearray:
    for piece in pieces:
        if len(body) + len(piece) > limit:
            raise BodyTooLarge(limit)
        body += piece
    return body


def _unpack(pieces: Iterable[bytes], limit: int, body: bytearray) -> bytearray:
    gzip, packed = zlib.decompressobj(_GZIP), 0
    for piece in pieces:
        packed += len(piece)
        rest = piece
        while rest and not gzip.eof:
            try:
                body += gzip.decompress(rest, _PIECE)
            except zlib.error as error:
                raise BodyMalformed(f"damaged gzip: {error}") from None
            rest = gzip.unconsumed_tail
            if max(len(body), packed) > limit:
                raise BodyTooLarge(limit)
        if gzip.unused_data or (rest and gzip.eof):
            raise BodyMalformed("something follows the end of the gzip stream")
    if not gzip.eof:
        raise BodyMalformed("the gzip stream is cut short")
    return body
