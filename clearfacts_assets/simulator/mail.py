"""A mail server: real SMTP with STARTTLS and login, which keeps what it took and has bad days on request."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import tempfile
from asyncio import Server, Transport
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# What a client must show. They open nothing but this simulator.
USERNAME, PASSWORD = "simulated", "simulated-mail-password"
DAYS_OF_THE_CERTIFICATE = 3650
MESSAGE_BYTES = 50 * 2**20

# Of a recipient, or of the whole mail: before it is taken ...
ANSWERS = {
    "refuse_recipient": ("RCPT", "550 5.1.1 no such mailbox"),
    "greylist": ("RCPT", "451 4.7.1 greylisted, please try again later"),
    "refuse_text": ("DATA", "554 5.7.1 this looks like spam"),
    "busy": ("DATA", "452 4.3.1 out of storage"),
    "nonsense": ("DATA", "354 go on"),
    "shut_down": ("RCPT", "421 4.3.2 shutting down"),
}
# ... or the line goes away, before or after it was taken, without an answer.
DROPS = frozenset({"drop_before_taking", "accept_then_drop"})
KINDS = frozenset(ANSWERS) | DROPS


@dataclass
class MailFault:
    """Strikes ``times`` mails or recipients that ``contains`` is in."""

    kind: str
    times: int = 1
    contains: str = ""
    applied: int = 0

    def strikes(self, kinds: frozenset[str] | set[str], text: str) -> bool:
        if self.kind in kinds and self.applied < self.times and self.contains in text:
            self.applied += 1
            return True
        return False


@dataclass(frozen=True, slots=True)
class TakenMail:
    """A mail that was taken, whether or not its sender heard so."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    encrypted: bool

    def as_json(self) -> dict[str, Any]:
        mail = message_from_bytes(self.content, policy=default)
        attached = [part.get_filename() for part in mail.walk() if part.get_filename()]
        names = ("From", "To", "Cc", "Subject", "Message-ID")
        headers = {name.lower(): str(mail[name]) for name in names if mail[name]}
        told = {"sender": self.sender, "recipients": self.recipients, "bytes": len(self.content)}
        return {**told, "encrypted": self.encrypted, **headers, "attachments": attached}


class Mailroom:
    """Everything that was taken, in order, and the faults that were asked for."""

    def __init__(self) -> None:
        self.taken: list[TakenMail] = []
        self.faults: list[MailFault] = []
        self.connections = 0

    def clear(self) -> None:
        self.taken.clear()
        self.faults.clear()
        self.connections = 0

    def fault(self, kind: str, times: int = 1, contains: str = "") -> MailFault:
        """Raises ValueError for a kind that is none."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no fault of mail: {', '.join(sorted(KINDS))}")
        self.faults.append(MailFault(kind, times, contains))
        return self.faults[-1]

    def striking(self, kinds: frozenset[str] | set[str], text: str) -> MailFault | None:
        return next((one for one in self.faults if one.strikes(kinds, text)), None)

    # What aiosmtpd calls.

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        kinds = {kind for kind, (when, _) in ANSWERS.items() if when == "RCPT"}
        if fault := self.striking(kinds, address):
            return ANSWERS[fault.kind][1]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        everybody = " ".join(envelope.rcpt_tos)
        kinds = {kind for kind, (when, _) in ANSWERS.items() if when == "DATA"}
        if fault := self.striking(kinds, everybody):
            return ANSWERS[fault.kind][1]
        drop = self.striking(DROPS, everybody)
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        if drop is None or drop.kind == "accept_then_drop":
            mail = TakenMail(envelope.mail_from or "", tuple(envelope.rcpt_tos), content, session.ssl is not None)
            self.taken.append(mail)
        if drop is not None:
            cast(Transport, server.transport).abort()
        return f"250 OK: mail {len(self.taken)}"


class MailServer:
    """The server in a thread of its own: ``with MailServer() as server`` listens on a free port of this machine."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, room: Mailroom | None = None) -> None:
        self.room = room or Mailroom()
        self._folder = tempfile.TemporaryDirectory(prefix="clearfacts-mail-")
        self.ca_file, key = certificate(Path(self._folder.name))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file, key)
        self._controller = _Controller(
            self.room,
            hostname=host,
            port=port,
            tls_context=context,
            require_starttls=True,
            authenticator=_authenticated,
            auth_required=True,
            data_size_limit=MESSAGE_BYTES,
        )

    def __enter__(self) -> MailServer:
        self._controller.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._controller.stop()
        self._folder.cleanup()

    @property
    def port(self) -> int:
        return int(cast(Server, self._controller.server).sockets[0].getsockname()[1])

    def environment(self) -> dict[str, str]:
        """The settings that make the product hand its mails over here."""
        return {
            "CLEARFACTS_EMAIL__HOST": "127.0.0.1",
            "CLEARFACTS_EMAIL__PORT": str(self.port),
            "CLEARFACTS_EMAIL__USERNAME": USERNAME,
            "CLEARFACTS_EMAIL__PASSWORD": PASSWORD,
            "CLEARFACTS_EMAIL__SENDER": "statements@example.edu",
            "CLEARFACTS_NETWORK__CA_FILE": str(self.ca_file),
        }


class _Controller(Controller):
    """Counts connections, and finds its own port where it was given none."""

    handler: Mailroom

    def factory(self) -> SMTP:
        self.handler.connections += 1
        server = cast(SMTP, super().factory())  # type: ignore[no-untyped-call]
        # As nearly every server asks; some clients take no other words for it.
        server.AuthLoginUsernameChallenge, server.AuthLoginPasswordChallenge = "Username:", "Password:"
        return server

    def _trigger_server(self) -> None:
        """The base class knocks at the port that was asked for, and 0 is none."""
        self.port = cast(Server, self.server).sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


def _authenticated(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USERNAME.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


def certificate(folder: Path, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> tuple[Path, Path]:
    """A self-signed certificate for this machine, which a client is told to believe, and its key; as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated mail server")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - dt.timedelta(days=1))
        .not_valid_after(now() + dt.timedelta(days=DAYS_OF_THE_CERTIFICATE))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, key_file = folder / "mail.pem", folder / "mail.key"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return file, key_file
