"""The simulator's own part, ``/simulator``: what was accepted, which faults strike, invoices by hand, a fresh start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from clearfacts_assets.simulator.erp import Erp, parse_moment
from clearfacts_assets.simulator.faults import Faults
from clearfacts_assets.simulator.filing import Office
from clearfacts_assets.simulator.generator import Generator
from clearfacts_assets.simulator.http import Answer, Call, json_answer
from clearfacts_assets.simulator.mail import Mailroom
from clearfacts_assets.simulator.slack import Slack
from clearfacts_assets.simulator.tokens import Tokens

PAGE = 1000
MOST_IN_A_PAGE = 10_000
_NOTHING = Answer(204, b"", ())


class Control:
    """Needs no token: the simulator listens where its user told it to, and holds nothing that is worth keeping."""

    def __init__(
        self,
        erp: Erp,
        office: Office,
        slack: Slack,
        tokens: Tokens,
        faults: Faults,
        make: Callable[..., Generator],
        mailroom: Mailroom,
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.correlation_ids: dict[str, str] = {}  # of the last call of each operation
        self.connections = 0
        self.latency = 0.0
        self._erp, self._office, self._slack, self._faults, self._make = erp, office, slack, faults, make
        self._tokens, self._mailroom = tokens, mailroom
        self._routes: dict[tuple[str, str], Callable[[Call], Answer]] = {
            ("GET", "/health"): lambda call: json_answer({"status": "ok"}),
            ("GET", "/quiet"): lambda call: json_answer({"quiet": True}),
            ("GET", "/accepted"): self._accepted,
            ("GET", "/slack"): lambda call: json_answer({"messages": self._slack.messages}),
            ("GET", "/mail"): lambda call: json_answer({"mails": [one.as_json() for one in mailroom.taken]}),
            ("POST", "/mail/faults"): self._add_mail_fault,
            ("GET", "/calls"): self._calls,
            ("GET", "/faults"): lambda call: json_answer({"faults": self._faults.listed()}),
            ("POST", "/faults"): self._add_fault,
            ("DELETE", "/faults"): self._clear_faults,
            ("POST", "/invoices"): self._add_invoice,
            ("DELETE", "/invoices"): self._clear_invoices,
            ("POST", "/administrations"): self._add_administration,
            ("DELETE", "/administrations"): self._remove_administration,
            ("POST", "/documents"): self._change_documents,
            ("GET", "/tokens"): self._told_of_tokens,
            ("POST", "/tokens"): self._expire_tokens,
            ("POST", "/reset"): self._reset,
        }

    def count(self, operation: str, call: Call) -> None:
        """Remember that it was called, and under which correlation id."""
        self.calls[operation] += 1
        self.correlation_ids[operation] = call.headers.get("x-correlation-id", "")

    def handle(self, call: Call) -> Answer:
        route = self._routes.get((call.method, call.path))
        if route is None:
            known = sorted(f"{method} /simulator{path}" for method, path in self._routes)
            return json_answer({"error": f"there is no {call.method} /simulator{call.path}", "known": known}, 404)
        try:
            return route(call)
        except (ValueError, TypeError) as error:
            return json_answer({"error": str(error)}, 400)

    def _accepted(self, call: Call) -> Answer:
        query = dict(call.query)
        after, limit = int(query.get("after", "0")), int(query.get("limit", str(PAGE)))
        if after < 0 or not 1 <= limit <= MOST_IN_A_PAGE:
            raise ValueError(f"after is 0 or more, limit 1 to {MOST_IN_A_PAGE}")
        page = self._office.accepted.page(after, limit)
        total = len(self._office.accepted)
        following = after + limit if after + limit < total else None
        return json_answer({"accepted": [asdict(document) for document in page], "total": total, "next": following})

    def _calls(self, call: Call) -> Answer:
        told = {"calls": dict(self.calls), "correlation_ids": self.correlation_ids, "connections": self.connections}
        return json_answer(told)

    def _add_fault(self, call: Call) -> Answer:
        return json_answer(self._faults.add(call.json()).as_json(), 201)

    def _add_mail_fault(self, call: Call) -> Answer:
        asked = _object(call, {"kind"}, {"times", "contains"})
        return json_answer({"kind": self._mailroom.fault(**asked).kind}, 201)

    def _clear_faults(self, call: Call) -> Answer:
        self._faults.clear()
        return _NOTHING

    def _add_invoice(self, call: Call) -> Answer:
        asked = _object(call, {"id", "updated_at"}, {"ubl"})
        if not isinstance(asked["id"], str) or not isinstance(asked["updated_at"], str):
            raise ValueError("id and updated_at are texts")
        self._erp.add(asked["id"], parse_moment(asked["updated_at"]), asked.get("ubl"))
        return json_answer({"id": asked["id"]}, 201)

    def _clear_invoices(self, call: Call) -> Answer:
        self._erp.clear()
        return _NOTHING

    def _add_administration(self, call: Call) -> Answer:
        asked = _object(call, {"vat_number", "name"}, set())
        self._office.add_administration(str(asked["vat_number"]), str(asked["name"]))
        return json_answer(asked, 201)

    def _remove_administration(self, call: Call) -> Answer:
        self._office.remove_administration(str(_object(call, {"vat_number"}, set())["vat_number"]))
        return _NOTHING

    def _change_documents(self, call: Call) -> Answer:
        """Let days pass for all documents, or change or forget one."""
        asked = _object(call, set(), {"days", "uuid", "payment_state", "forgotten"})
        self._office.afterwards.change(**asked)
        return _NOTHING

    def _told_of_tokens(self, call: Call) -> Answer:
        return json_answer({"renewals": self._tokens.renewals, "refused": self._tokens.refused})

    def _expire_tokens(self, call: Call) -> Answer:
        asked = _object(call, {"after"}, {"lifetime"})
        self._tokens.expire(int(asked["after"]), None if asked.get("lifetime") is None else int(asked["lifetime"]))
        return _NOTHING

    def _reset(self, call: Call) -> Answer:
        """Forget everything; the body may set anew what the command line set at the start."""
        names = {"seed", "per_day", "broken_share", "duplicate_share", "latency_ms"}
        asked = _object(call, set(), names) if call.body else {}
        latency = float(asked.pop("latency_ms", 0)) / 1000
        self._erp.generator = self._make(**asked)
        self.latency = latency
        self._erp.clear()
        self._office.clear()
        self._slack.clear()
        self._mailroom.clear()
        self._tokens.clear()
        self._faults.clear()
        self.calls.clear()
        self.correlation_ids.clear()
        self.connections = 0
        return _NOTHING


def _object(call: Call, needed: set[str], possible: set[str]) -> dict[str, Any]:
    """Raises ValueError."""
    asked = call.json()
    if not isinstance(asked, dict) or not needed <= asked.keys() <= needed | possible:
        raise ValueError(f"the body is a JSON object with {', '.join(sorted(needed | possible))}")
    return asked
