"""What a handler is given and what it gives back: one request, read whole, and one answer, not yet sent."""

from __future__ import annotations

import asyncio
import json
from asyncio import Transport
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

BODY_LIMIT = 64 * 2**20  # bytes of one request; more is answered with 413


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers and a body. ``content-length`` is added when it is sent."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]


def json_answer(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None, kind: str = "application/json"
) -> Answer:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, body, (("content-type", kind), *(headers or {}).items()))


@dataclass
class Call:
    """One request to one of the simulated systems. ``operation`` names what is asked for, once that is known."""

    method: str
    path: str  # below the system's own prefix, with a slash in front
    query: list[tuple[str, str]]
    headers: Headers
    body: bytes
    operation: str = ""
    enclosed: Callable[[], bytes] = bytes  # a document that the body carries encoded, for faults that look inside

    @cached_property
    def form(self) -> dict[str, str]:
        """The fields of an application/x-www-form-urlencoded body."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        """Raises ValueError."""
        return json.loads(self.body)

    @property
    def token(self) -> str:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def contains(self, text: str) -> bool:
        """Whether the address, the body or a document that it carries encoded hold the text."""
        return (
            text in self.path
            or any(text in value for _, value in self.query)
            or text.encode() in self.body
            or text.encode() in self.enclosed()
        )


class Gone(Exception):
    """The client closed the connection before its request was whole."""


class TooLarge(Exception):
    """The request is larger than BODY_LIMIT."""


async def read_call(scope: Scope, receive: Receive, prefix: str) -> Call:
    """Raises Gone and TooLarge."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > BODY_LIMIT:
            raise TooLarge
        chunks.append(chunk)
        if not message.get("more_body"):
            break
    return Call(
        method=scope["method"],
        path=scope["path"][len(prefix) :],
        query=parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True),
        headers=Headers(raw=scope["headers"]),
        body=b"".join(chunks),
    )


@dataclass
class Wire:
    """The way back to the client, down to the connection itself."""

    receive: Receive
    send: Send
    transport: Transport

    async def answer(self, answer: Answer) -> None:
        await self._start(answer)
        await self.send({"type": "http.response.body", "body": answer.body, "more_body": False})

    def close(self) -> None:
        """End the connection; what was written before still arrives."""
        self.transport.close()

    async def cut(self, answer: Answer) -> None:
        """Announce the whole body, send the first half of it, and close."""
        await self._start(answer)
        await self._part(answer.body[: len(answer.body) // 2])
        self.close()

    async def drip(self, answer: Answer, interval: float, chunk: int) -> None:
        """Send the body a few bytes at a time; stops when the client has gone."""
        await self._start(answer)
        for start in range(0, len(answer.body), chunk):
            if self.transport.is_closing():
                return
            await self._part(answer.body[start : start + chunk])
            await asyncio.sleep(interval)
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def hang(self, seconds: float) -> None:
        """Say nothing until the client gives up or the time is over, then close."""
        try:
            async with asyncio.timeout(seconds):
                while (await self.receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            pass
        self.close()

    async def _start(self, answer: Answer) -> None:
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        start: Message = {"type": "http.response.start", "status": answer.status, "headers": headers}
        await self.send(start)

    async def _part(self, part: bytes) -> None:
        await self.send({"type": "http.response.body", "body": part, "more_body": True})
