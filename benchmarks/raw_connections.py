"""Keep-alive connections that ask and read, with as little work of ours as possible; no benchmark itself."""

from __future__ import annotations

import asyncio
import time


class Line:
    """One keep-alive connection; as little work of ours as possible."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> Line:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


def request_of(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    lines = {"Host": "bench", **(headers or {})} | ({"Content-Length": str(len(body))} if body else {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def load(port: int, request: bytes, *, clients: int, requests: int) -> list[float]:
    """Milliseconds of each answer, with so many connections asking without a pause."""
    remaining = iter(range(requests))
    times: list[float] = []

    async def one() -> None:
        line = await Line(port).open()
        for _ in remaining:
            begin = time.perf_counter()
            status, _body = await line.ask(request)
            assert status == 200, status
            times.append((time.perf_counter() - begin) * 1000)
        line.close()

    await asyncio.gather(*(one() for _ in range(clients)))
    return times


async def once(port: int, request: bytes) -> tuple[int, bytes, float]:
    line = await Line(port).open()
    begin = time.perf_counter()
    status, body = await line.ask(request)
    line.close()
    return status, body, (time.perf_counter() - begin) * 1000
