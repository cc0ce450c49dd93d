"""Clearfacts at one address: the public GraphQL API, the REST contract and the token's owner. See docs/simulator.md."""

from __future__ import annotations

from functools import partial

from clearfacts_assets.simulator.clearfacts_graphql import answer_graphql
from clearfacts_assets.simulator.clearfacts_rest import enclosed, error_answer, look_up, upload
from clearfacts_assets.simulator.faults import Fault
from clearfacts_assets.simulator.filing import Office
from clearfacts_assets.simulator.http import Answer, Call, json_answer
from clearfacts_assets.simulator.tokens import Tokens

_OPERATIONS = {
    ("POST", "/invoices"): "upload",
    ("GET", "/invoices"): "look_up",
    ("GET", "/oauth2-server/userinfo"): "userinfo",
    ("POST", "/oauth2-server/token"): "token",
}
# Told apart by words in the body, the most telling first; the body of an upload may hold the other words too.
_GRAPHQL_OPERATIONS = ((b"uploadFile", "upload"), (b"administration", "administrations"), (b"document", "document"))


class Clearfacts:
    """The accounting platform's three doors before one back office."""

    def __init__(self, office: Office, tokens: Tokens) -> None:
        self._office, self._tokens = office, tokens

    def operation(self, call: Call) -> str:
        if call.path != "/graphql":
            operation = _OPERATIONS.get((call.method, call.path), "")
            if operation == "upload":
                call.enclosed = partial(enclosed, call)
            return operation
        return next((operation for word, operation in _GRAPHQL_OPERATIONS if word in call.body), "graphql")

    async def handle(self, call: Call, fault: Fault | None) -> Answer:
        if call.operation == "token":
            return self._tokens.renew(call)
        if (fault and fault.kind == "expired_token") or not self._tokens.admit(call.token):
            challenge = {"www-authenticate": 'Bearer error="invalid_token"'}
            return error_answer(401, "UNAUTHENTICATED", "the access token is missing, unknown or expired", challenge)
        if call.path == "/graphql":
            return await answer_graphql(self._office, call, fault)
        if call.operation == "upload":
            return upload(self._office, call, fault)
        if call.operation == "look_up":
            return look_up(self._office, call)
        if call.operation == "userinfo":
            return json_answer({"sub": "simulator", "username": "simulator", "name": "Simulated Accountant"})
        return error_answer(404, "NOT_FOUND", f"there is no {call.method} {call.path or '/'}")
