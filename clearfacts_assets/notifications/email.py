"""Handing a mail to an SMTP server: taken, refused, provably not taken, or nobody knows.

What decides is how far the talk came. Until the line with the final dot has begun to leave, no server can have taken
the mail. From then on only an answer can say; without one nobody knows, and the mail is never sent again by itself.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, NoReturn

from clearfacts_assets import tracing
from clearfacts_assets.outcome_kinds import OutcomeKind

_LINE_WITH_A_DOT = re.compile(rb"^\.", re.MULTILINE)
_ANY_END = re.compile(rb"\r\n|\r|\n")
_SHUTS_DOWN = 421  # the server closes the connection, whatever was asked
_MOST_OF_AN_ANSWER = 500  # characters that are kept

# What a mailbox may look like here: plain ASCII, nothing that a header or a command could take for its own.
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Handover:
    """``server``: it is the server (or our login) that has a problem, so that others need not be tried now."""

    outcome: OutcomeKind
    code: int | None
    answer: str
    server: bool = False


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mails are handed over, and as whom."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = ""
    deadline: float = 60.0
    ca_file: Path | None = None  # certificates that are believed beside the usual ones


class _Ended(Exception):
    """The talk ends here with this result."""

    def __init__(self, handover: Handover) -> None:
        super().__init__(handover.answer)
        self.handover = handover


class SmtpClient:
    """One connection for many mails, made when it is first needed and again after it broke. Use it in a ``with``."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._smtp: smtplib.SMTP | None = None

    def __enter__(self) -> SmtpClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up(politely=True)

    def hand_over(self, sender: str, recipient: str, copies: Sequence[str], message: bytes) -> Handover:
        """Give one mail to the server. Never raises for what the server or the network does.

        The recipient decides; a copy that is refused is named in the answer and hinders nothing.
        """
        with tracing.span("mail", {"server.address": self._server.host}, kind="CLIENT") as mail:
            handover = self._handed_over(sender, recipient, copies, message)
            mail.note({"clearfacts.outcome": handover.outcome.value})
            return handover

    def _handed_over(self, sender: str, recipient: str, copies: Sequence[str], message: bytes) -> Handover:
        try:
            smtp = self._connected()
            notes = self._envelope(smtp, sender, recipient, copies)
            return self._message(smtp, message, notes)
        except _Ended as ended:
            return ended.handover
        except (OSError, smtplib.SMTPException) as error:  # before the text: nothing can have arrived
            self._hang_up()
            return Handover(OutcomeKind.NOT_SENT, None, _said(error), server=True)

    def _connected(self) -> smtplib.SMTP:
        if self._smtp is not None:
            try:
                if self._smtp.rset()[0] == 250:
                    return self._smtp
            except (OSError, smtplib.SMTPException):
                pass  # it has hung up meanwhile: call again
            self._hang_up()
        server = self._server
        context = ssl.create_default_context()
        if server.ca_file is not None:
            context.load_verify_locations(server.ca_file)
        smtp: smtplib.SMTP
        if server.security == "tls":
            smtp = smtplib.SMTP_SSL(server.host, server.port, timeout=server.deadline, context=context)
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=server.deadline)
        self._smtp = smtp
        smtp.ehlo_or_helo_if_needed()
        if server.security == "starttls":
            smtp.starttls(context=context)  # raises where the server offers none: never in plain text instead
            smtp.ehlo()
        if server.username:
            smtp.login(server.username, server.password)
        return smtp

    def _envelope(self, smtp: smtplib.SMTP, sender: str, recipient: str, copies: Sequence[str]) -> list[str]:
        code, answer = smtp.mail(sender)
        if code != 250:
            # It is the sender that is refused, which is ours to mend: no mail is lost by it.
            self._end(OutcomeKind.NOT_SENT, code, answer, server=True)
        code, answer = smtp.rcpt(recipient)
        if code not in (250, 251):
            self._end(_outcome(code), code, answer)
        notes = []
        for one in copies:
            code, answer = smtp.rcpt(one)
            if code == _SHUTS_DOWN:
                self._end(OutcomeKind.NOT_SENT, code, answer)
            if code not in (250, 251):
                notes.append(f"no copy to {one}: {code} {_text(answer)}")
        return notes

    def _message(self, smtp: smtplib.SMTP, message: bytes, notes: Sequence[str]) -> Handover:
        code, answer = smtp.docmd("data")
        if code != 354:
            self._end(_outcome(code), code, answer)
        text = _LINE_WITH_A_DOT.sub(b"..", _ANY_END.sub(b"\r\n", message))
        smtp.send(text if text.endswith(b"\r\n") else text + b"\r\n")  # without its end it is no mail yet
        try:
            smtp.send(b".\r\n")
            code, answer = smtp.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._hang_up()
            return Handover(OutcomeKind.UNKNOWN, None, f"no answer after the mail was sent: {_said(error)}")
        if 200 <= code < 300:
            return Handover(OutcomeKind.ACCEPTED, code, "; ".join([_text(answer), *notes]))
        if code < 400:
            self._hang_up()
            return Handover(OutcomeKind.UNKNOWN, code, f"an answer that means nothing: {code} {_text(answer)}")
        self._end(_outcome(code), code, answer)

    def _end(self, outcome: OutcomeKind, code: int, answer: bytes, *, server: bool = False) -> NoReturn:
        """Raises _Ended."""
        if code == _SHUTS_DOWN or code < 200:
            self._hang_up()
        raise _Ended(Handover(outcome, code, f"{code} {_text(answer)}", server or code == _SHUTS_DOWN))

    def _hang_up(self, *, politely: bool = False) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is None:
            return
        try:
            if politely:
                smtp.quit()
        except (OSError, smtplib.SMTPException):
            pass  # all that was handed over has been answered
        finally:
            smtp.close()


def _outcome(code: int) -> OutcomeKind:
    """Of an answer that is no yes: 5xx is for good, everything else may be tried again."""
    return OutcomeKind.REFUSED if 500 <= code < 600 else OutcomeKind.NOT_SENT


def _text(answer: bytes) -> str:
    return " ".join(answer.decode("utf-8", "replace").split())[:_MOST_OF_AN_ANSWER]


def _said(error: BaseException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return f"{error.smtp_code} {_text(said if isinstance(said, bytes) else str(said).encode())}"
    return " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_OF_AN_ANSWER]
