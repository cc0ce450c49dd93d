"""A request with its whole body made before it leaves, so that nothing of ours can fail between its bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpcore
import httpx


@dataclass(frozen=True, slots=True)
class Request:
    """What leaves, without the headers that are only known then."""

    place: str  # method and address without the query, for messages
    method: str
    url: httpcore.URL
    headers: Mapping[str, str]
    content: bytes

    def with_headers(self, headers: Mapping[str, str], timeouts: Mapping[str, float | None]) -> httpcore.Request:
        """As it is sent, with further headers."""
        pairs = [(name.encode("ascii"), value.encode("ascii")) for name, value in {**self.headers, **headers}.items()]
        request = httpcore.Request(self.method, self.url, content=self.content, extensions={"timeout": timeouts})
        request.headers = pairs  # past its look at each of them, which are bytes
        return request


def make(method: str, address: str, headers: Mapping[str, str], **content: Any) -> Request:
    """``content`` as httpx takes it: ``json``, ``params``, ``data``, ``files``. Raises ValueError for no number."""
    url, raw, place = _address(address)
    if content.keys() - {"json"}:
        made = httpx.Request(method, url, headers=headers, **content)
        return Request(f"{method} {place}", method, _raw(made.url), dict(made.headers.items()), made.read())
    whole = {"Host": url.netloc.decode("ascii"), **headers}
    if not content:
        return Request(f"{method} {place}", method, raw, whole, b"")
    written = json.dumps(content["json"], ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    whole |= {"Content-Type": "application/json", "Content-Length": str(len(written))}
    return Request(f"{method} {place}", method, raw, whole, written)


@lru_cache(maxsize=16)
def _address(address: str) -> tuple[httpx.URL, httpcore.URL, str]:
    url = httpx.URL(address)
    return url, _raw(url), str(url.copy_with(query=None) if url.query else url)


def _raw(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
