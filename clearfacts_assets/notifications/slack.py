"""Slack's ``chat.postMessage`` over slack_sdk. Retries are the outbox's business, not the client's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.request import Request

import httpx
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.client import WebClient
from slack_sdk.web.slack_response import SlackResponse

from clearfacts_assets.notifications.outbox import NotTold
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.outgoing.body import BodyMalformed, BodyTooLarge, read_body
from clearfacts_assets.outgoing.client import open_client as open_http_client
from clearfacts_assets.outgoing.deadlines import bounded
from clearfacts_assets.outgoing.evidence import Secrets
from clearfacts_assets.outgoing.headers import bearer
from clearfacts_assets.outgoing.network import DIRECT, Network

TIMEOUT = 10  # seconds, for one whole call
RESPONSE_BYTES = 2**20  # most bytes of one answer

# Slack's error codes that are about one message or its channel; any other one would meet the next message too.
ABOUT_ONE_MESSAGE = frozenset(
    {
        "as_user_not_supported",
        "channel_not_found",
        "invalid_arguments",
        "invalid_attachments",
        "invalid_blocks",
        "invalid_blocks_format",
        "is_archived",
        "is_inactive",
        "metadata_too_large",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "not_in_channel",
        "restricted_action",
        "too_many_attachments",
    }
)


def open_client(token: str, base_url: str, timeout: int = TIMEOUT, network: Network = DIRECT) -> WebClient:
    """A client that tries once and logs no answers. Raises ValueError, without telling the token, for a bad one."""
    bearer(token)
    logger = logging.getLogger(f"{__name__}.sdk")
    logger.setLevel(logging.CRITICAL)  # at DEBUG slack_sdk logs whole answers, and its errors are raised anyway
    return _Client(token.strip(), base_url=base_url, timeout=timeout, logger=logger, network=network)


class _Client(WebClient):
    """slack_sdk, whose requests leave as all others of ours do: its own client asks the environment for the way."""

    def __init__(self, token: str, *, network: Network, **options: Any) -> None:
        super().__init__(token, retry_handlers=[], **options)
        self.proxy = None
        self.network = network

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        content, headers = req.data, dict(req.header_items())
        opened = open_http_client(
            connections=1, connect_timeout=self.timeout, deadline=self.timeout, network=self.network
        )
        with (
            opened as client,
            bounded(self.timeout),
            client.stream(req.get_method(), url, content=content, headers=headers) as response,  # type: ignore[arg-type]
        ):
            body = read_body(response, RESPONSE_BYTES).decode("utf-8", "replace")
            return {"status": response.status_code, "headers": response.headers, "body": body}


class Slack:
    """What the outbox sends with, and what a health check asks."""

    def __init__(self, client: WebClient) -> None:
        self._client = client
        network = client.network if isinstance(client, _Client) else DIRECT
        self._secrets = Secrets(client.token or "", *network.secrets)

    def send(self, channel: str, message: Mapping[str, Any]) -> None:
        """Post one message, once. Raises NotTold."""
        self._call(
            "chat.postMessage",
            {"channel": channel, "unfurl_links": False, "unfurl_media": False, **message},
        )

    def check(self) -> str:
        """Ask who we are. Raises NotTold."""
        answer = self._call("auth.test", {})
        return (
            f"Slack answers as {self._secrets.excerpt(str(answer.get('user') or answer.get('team') or 'a bot'), 100)}"
        )

    def _call(self, method: str, content: dict[str, Any]) -> dict[str, Any]:
        place = f"Slack ({method})"
        if not self._client.token:
            raise NotTold(f"{place}: there is no token: set slack.token", outcome=OutcomeKind.DENIED)
        try:
            answer = self._client.api_call(method, json=content or None)
        except SlackApiError as error:
            raise self._refusal(place, error) from None
        except (SlackClientError, httpx.TransportError, BodyMalformed, BodyTooLarge, ValueError) as error:
            raise NotTold(f"{place}: {type(error).__name__}: {self._secrets.excerpt(str(error), 300)}") from None
        return answer.data if isinstance(answer.data, dict) else {}

    def _refusal(self, place: str, error: SlackApiError) -> NotTold:
        answer = error.response
        if not isinstance(answer, SlackResponse):  # not JSON: slack_sdk hands on what it has
            status = answer.get("status") if isinstance(answer, dict) else None
            return NotTold(f"{place} answered HTTP {status} and no JSON")
        data = answer.data if isinstance(answer.data, dict) else {}
        code = str(data.get("error") or "no error code")
        told = f"{place} refuses with HTTP {answer.status_code}: {self._secrets.excerpt(code, 200)}"
        outcome = OutcomeKind.REFUSED if code in ABOUT_ONE_MESSAGE else OutcomeKind.NOT_SENT
        return NotTold(told, outcome=outcome, retry_after=_seconds(answer.headers))


def _seconds(headers: Mapping[str, str]) -> float | None:
    asked = str(headers.get("Retry-After") or headers.get("retry-after") or "")
    return float(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 9 else None
