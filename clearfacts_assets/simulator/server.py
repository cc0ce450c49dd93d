"""The simulator as a process: it listens, says where, and ends with exit code 0 when it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from asyncio import BaseTransport, Transport
from collections.abc import Callable, Iterator
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from clearfacts_assets.simulator.app import CLEARFACTS_TOKEN, ERP_TOKEN, SLACK_TOKEN, Options, Simulator
from clearfacts_assets.simulator.mail import MailServer

KEEP_ALIVE_SECONDS = 75
STOP_SECONDS = 1  # for calls under way when the simulator is stopped
BACKLOG = 2048


def environment(url: str, mail: MailServer | None = None) -> dict[str, str]:
    """The settings that make the product speak to the simulator at this address, and to its mail server."""
    return {
        **(mail.environment() if mail else {}),
        "CLEARFACTS_SOURCE__KIND": "java_backend",
        "CLEARFACTS_SOURCE__BASE_URL": f"{url}/erp",
        "CLEARFACTS_SOURCE__TOKEN": ERP_TOKEN,
        "CLEARFACTS_DESTINATION__BASE_URL": f"{url}/clearfacts",
        "CLEARFACTS_DESTINATION__LOGIN_URL": f"{url}/clearfacts",
        "CLEARFACTS_DESTINATION__TOKEN": CLEARFACTS_TOKEN,
        "CLEARFACTS_SLACK__BASE_URL": f"{url}/slack/api/",
        "CLEARFACTS_SLACK__TOKEN": SLACK_TOKEN,
        "CLEARFACTS_NETWORK__PROXY": "direct",  # no proxy knows this machine's own addresses
    }


def serve(host: str, port: int, options: Options, announce: Callable[[str, dict[str, str]], None]) -> None:
    """Listen until SIGINT or SIGTERM. ``announce`` is told the address, and the settings that lead here, once it
    answers; port 0 takes a free one. Beside it a mail server listens on a free port of this machine.

    Raises OSError where the address cannot be had, ValueError for impossible options.
    """
    simulator = Simulator(options)
    listener = socket.create_server((host, port), backlog=BACKLOG, reuse_port=False)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    try:
        with MailServer(room=simulator.mailroom) as mail:
            _Server(_config(simulator), lambda: announce(url, environment(url, mail))).run(sockets=[listener])
    finally:
        simulator.close()


def _config(simulator: Simulator) -> uvicorn.Config:
    class Protocol(HttpToolsProtocol):
        """Hands the connection itself to the application, which some faults need."""

        def connection_made(self, transport: BaseTransport) -> None:
            super().connection_made(cast(Transport, transport))
            simulator.connected()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["state"]["transport"] = self.transport

    return uvicorn.Config(
        simulator,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        date_header=True,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


class _Server(uvicorn.Server):
    """Announces itself, and takes a signal as a request to stop, not as a failure."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._announce()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True
