"""The simulator as one ASGI application: four doors, and the faults before three of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid4

from starlette.types import Receive, Scope, Send

from clearfacts_assets.simulator.clearfacts import Clearfacts
from clearfacts_assets.simulator.control import Control
from clearfacts_assets.simulator.erp import Erp
from clearfacts_assets.simulator.faults import Fault, Faults, play
from clearfacts_assets.simulator.filing import Office
from clearfacts_assets.simulator.generator import (
    DEFAULT_BROKEN_SHARE,
    DEFAULT_DUPLICATE_SHARE,
    DEFAULT_PER_DAY,
    Generator,
)
from clearfacts_assets.simulator.http import BODY_LIMIT, Answer, Call, Gone, TooLarge, Wire, json_answer, read_call
from clearfacts_assets.simulator.ledger import AcceptedDocuments
from clearfacts_assets.simulator.mail import Mailroom
from clearfacts_assets.simulator.slack import Slack
from clearfacts_assets.simulator.tokens import Tokens

# What a client must show. They open nothing but this simulator.
ERP_TOKEN = "simulated-erp-token"  # noqa: S105
CLEARFACTS_TOKEN = "simulated-clearfacts-token"  # noqa: S105
SLACK_TOKEN = "xoxb-simulated"  # noqa: S105

QUIET_TURNS = 10  # of the event loop: what waits in a socket is accepted, read and handed over in fewer
QUIET_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line sets. ``latency`` in seconds delays every answer of the three systems."""

    seed: int = 1
    per_day: int = DEFAULT_PER_DAY
    broken_share: float = DEFAULT_BROKEN_SHARE
    duplicate_share: float = DEFAULT_DUPLICATE_SHARE
    latency: float = 0.0
    state: Path | None = None


class _System(Protocol):
    def operation(self, call: Call) -> str: ...

    async def handle(self, call: Call, fault: Fault | None) -> Answer: ...


class Simulator:
    """A Java backend under /erp, a Clearfacts under /clearfacts, a Slack under /slack, control under /simulator."""

    def __init__(
        self,
        options: Options,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_uuid: Callable[[], UUID] = uuid4,
    ) -> None:
        """Raises ValueError for impossible options or a damaged state file."""
        make = partial(_generator, options)
        self._accepted = AcceptedDocuments(options.state)
        office = Office(self._accepted, now, new_uuid)
        erp, slack = Erp(make(), ERP_TOKEN, now), Slack(SLACK_TOKEN, now)
        self._faults, tokens = Faults(), Tokens(CLEARFACTS_TOKEN)
        self._systems: dict[str, _System] = {
            "erp": erp,
            "clearfacts": Clearfacts(office, tokens),
            "slack": slack,
        }
        self.mailroom = Mailroom()
        self.control = Control(erp, office, slack, tokens, self._faults, make, self.mailroom)
        self.control.latency = options.latency
        self._in_hand = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        system = scope["path"].partition("/")[2].partition("/")[0]
        counted = system in self._systems
        self._in_hand += counted
        try:
            await self._serve(system, scope, receive, Wire(receive, send, scope["state"]["transport"]))
        finally:
            self._in_hand -= counted

    async def _serve(self, system: str, scope: Scope, receive: Receive, wire: Wire) -> None:
        try:
            call = await read_call(scope, receive, f"/{system}")
        except Gone:
            return
        except TooLarge:
            await wire.answer(json_answer({"error": f"a request has at most {BODY_LIMIT} bytes"}, 413))
            wire.close()
            return
        if system == "simulator":
            if call.path == "/quiet":
                await self._quiet()
            await wire.answer(self.control.handle(call))
        elif system in self._systems:
            await self._ask(system, self._systems[system], call, wire)
        else:
            await wire.answer(json_answer({"error": "there is /erp, /clearfacts, /slack and /simulator"}, 404))

    async def _ask(self, target: str, system: _System, call: Call, wire: Wire) -> None:
        call.operation = system.operation(call)
        self.control.count(f"{target}.{call.operation or 'unknown'}", call)
        if self.control.latency:
            await asyncio.sleep(self.control.latency)
        fault = self._faults.striking(target, call)
        if fault:
            await play(fault, call, system.handle, wire)
        else:
            await wire.answer(await system.handle(call, None))

    async def _quiet(self) -> None:
        """Return when all that has reached this process is answered, or given up by its clients."""
        turns = 0
        while turns < QUIET_TURNS:
            await asyncio.sleep(QUIET_SECONDS if self._in_hand else 0)
            turns = 0 if self._in_hand else turns + 1

    def connected(self) -> None:
        """Told by the server at every new connection."""
        self.control.connections += 1

    def close(self) -> None:
        self._accepted.close()


def _generator(options: Options, **changed: Any) -> Generator:
    """The generator that the options describe, with some of them changed. Raises ValueError and TypeError."""
    given = {
        "seed": options.seed,
        "per_day": options.per_day,
        "broken_share": options.broken_share,
        "duplicate_share": options.duplicate_share,
    }
    return Generator(**{**given, **changed})
