"""Mails with statements: each arrives once, whatever the mail server, another process or a crash does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.notifications.statement_mails import problem_of
from clearfacts_assets.chargeback.statements.bounces import read_bounce
from clearfacts_assets.chargeback.statements.mail_lifecycle import TRANSITIONS, MailEvent, MailNotAllowed, MailState
from clearfacts_assets.chargeback.statements.mailing import Letterhead, OutgoingMail, message, subject_line
from clearfacts_assets.chargeback.statements.sending import Sent, send_due
from clearfacts_assets.chargeback.statements.typesetting import TypstRenderer
from clearfacts_assets.notifications.email import SmtpClient, SmtpServer
from clearfacts_assets.simulator.mail import PASSWORD, USERNAME, MailServer
from clearfacts_assets.storage.chargeback.issuing.mail_rows import MailOptions
from clearfacts_assets.storage.chargeback.issuing.mails import LEASE, MailBox
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets_tests.fixtures.chargeback import row, tags
from clearfacts_assets_tests.fixtures.statements import TODAY, Office, issue_two

ADDRESS = "ada@bio.example.edu"
LETTERHEAD = Letterhead("statements@example.edu", "Example", "Example University")


def subject_of(period: str, statements: Any) -> str:
    return subject_line("Statements, {month}: {due}", period, "Example", statements)


OPTIONS = MailOptions("example.edu", problem_of, subject_of)


class PowerCut(Exception):
    """The process is gone."""


@dataclass
class PostOffice:
    """Mails of an office, over real SMTP; the clock stands still unless a test moves it."""

    office: Office
    server: MailServer
    clock: datetime = TODAY
    options: MailOptions = OPTIONS
    attachment_bytes: int = 10**9
    test_recipient: str = ""

    def __post_init__(self) -> None:
        self.box = MailBox(self.office.books.engine)

    def want(self, period: str = "2025-03") -> list[int]:
        return self.box.want(period, self.options, actor="pat", now=self.clock)

    def outgoing(self, id_: int) -> OutgoingMail:
        mail = self.box.mail(id_)
        statements = self.box.statements(mail.statement_ids)
        large = sum(len(one.pdf) for one in statements) > self.attachment_bytes
        links = {one.number: f"https://x.example/{one.number}" for one in statements} if large else {}
        whom = (mail.message_id, mail.created_at, mail.recipient, mail.name, mail.copies)
        return OutgoingMail(LETTERHEAD, *whom, mail.subject, mail.period, statements, links)

    def send(self, attempts: int = 12) -> Sent:
        server = SmtpServer("127.0.0.1", self.server.port, "starttls", USERNAME, PASSWORD, 60.0, self.server.ca_file)
        with SmtpClient(server) as smtp:
            return send_due(
                *(self.box, smtp, self.outgoing, lambda: self.clock),
                attempts=attempts,
                test_recipient=self.test_recipient,
            )

    def states(self) -> list[str]:
        return [one["state"] for one in self.box.list()]

    @property
    def arrived(self) -> list[EmailMessage]:
        return [message_from_bytes(one.content, policy=default) for one in self.server.room.taken]  # type: ignore[misc]


@pytest.fixture(scope="module")
def running() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def fill(renderer: TypstRenderer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], None]:
    return lambda url: issue_two(url, renderer, tmp_path_factory.mktemp("exports"))


@pytest.fixture
def post(issued: Office, running: MailServer) -> PostOffice:
    """With two statements of one investigator issued."""
    running.room.clear()
    return PostOffice(issued, running)


def test_an_investigator_gets_one_mail_with_all_statements_and_never_a_second(post):
    RegistryRepository(post.office.books.engine).put(
        "investigators", [{"email": ADDRESS, "name": "Prof. Ada", "institution": ""}], actor="pat", now=TODAY
    )
    post.box.delegate(ADDRESS, "office@bio.example.edu", add=True, actor="pat", now=TODAY)
    assert len(post.want()) == 1
    assert post.want() == []
    assert post.send().sent == 1
    assert post.send().sent == 0
    (mail,) = post.arrived
    assert (mail["To"], mail["Cc"]) == ('"Prof. Ada" <ada@bio.example.edu>', "office@bio.example.edu")
    assert mail["Subject"] == "Statements, March 2025: 22.00 USD"
    attached = list(mail.iter_attachments())
    assert [part.get_filename() for part in attached] == [
        post.office.repository.pdf(f"S-2025-03-000{number}")[0] for number in (1, 2)
    ]
    assert attached[0].get_content() == post.office.repository.pdf("S-2025-03-0001")[1]
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    for said in ("Prof. Ada", "10.00", "12.00", "22.00 USD", "S-2025-03-0002"):
        assert said in text
        assert said in html
    assert (post.states(), post.office.generate().new, post.want()) == (["sent"], [], [])


@pytest.mark.parametrize(
    ("fault", "state", "arrived", "sent_later"),
    [
        ("refuse_recipient", "refused", 0, 0),
        ("refuse_text", "refused", 0, 0),
        ("greylist", "waiting", 0, 1),
        ("busy", "waiting", 0, 1),
        ("shut_down", "waiting", 0, 1),
        ("accept_then_drop", "unknown", 1, 0),
        ("drop_before_taking", "unknown", 0, 0),
        ("nonsense", "unknown", 0, 0),
    ],
)
def test_each_fault_of_the_server_ends_where_it_belongs(post, fault, state, arrived, sent_later):
    post.want()
    post.server.room.fault(fault)
    post.send()
    assert post.states() == [state]
    assert len(post.arrived) == arrived
    post.clock += timedelta(hours=5)
    assert post.send().sent == sent_later
    assert len(post.arrived) == arrived + sent_later
    history = [one["event"] for one in post.box.get(1)["history"]]
    assert history[:2] == ["wanted", "claimed"]


def test_a_server_that_is_away_for_an_hour_gets_each_mail_once(post):
    post.want()
    port, server = post.server.port, post.server
    with MailServer() as gone:
        pass
    post.server = _At(1, gone)  # nobody listens there
    for _ in range(4):
        found = post.send()
        assert (found.sent, found.unknown) == (0, 0)
        post.clock += timedelta(minutes=20)
    post.server = server
    assert server.port == port
    post.clock += timedelta(hours=4)
    assert post.send().sent == 1
    assert len(post.arrived) == 1


@dataclass
class _At:
    port: int
    of: MailServer

    @property
    def ca_file(self) -> Any:
        return None


def test_patience_ends(post):
    post.want()
    post.server.room.fault("greylist", times=3)
    for _ in range(3):
        post.send(attempts=3)
        post.clock += timedelta(days=1)
    assert post.states() == ["refused"]
    assert "after 3 tries" in post.box.get(1)["reason"]


@pytest.mark.parametrize("after_it_left", [False, True])
def test_a_kill_while_a_mail_is_being_sent_leaves_it_to_a_person(post, after_it_left, monkeypatch):
    post.want()
    real = SmtpClient.hand_over

    def killed(self, *said):
        if after_it_left:
            real(self, *said)
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(SmtpClient, "hand_over", killed)
        with pytest.raises(PowerCut):
            post.send()
    assert post.states() == ["sending"]
    assert post.send().sent == 0  # the claim still holds
    post.clock += LEASE + timedelta(minutes=1)
    found = post.send()
    assert (found.lapsed, found.sent, post.states()) == (1, 0, ["unknown"])
    assert len(post.arrived) == after_it_left
    post.box.decide(1, MailEvent.CONFIRMED, actor="rita", now=post.clock, reason="she has it")
    assert post.states() == ["sent"]


def test_a_yes_that_comes_after_the_claim_has_lapsed_is_written_down(post):
    post.want()
    post.box.claim(1, TODAY, "")
    post.box.expire(TODAY + LEASE + timedelta(seconds=1))
    assert post.box.settle(1, MailEvent.NOT_TAKEN, TODAY, "late") is MailState.UNKNOWN
    assert post.box.settle(1, MailEvent.ACCEPTED, TODAY, "250 OK", code=250) is MailState.SENT


def test_two_senders_at_once_send_one_mail(post):
    post.want()
    assert post.box.claim(1, TODAY, "") is not None
    assert post.box.claim(1, TODAY, "") is None
    assert post.send().sent == 0


def test_in_doubt_is_sent_again_only_knowingly_and_once_a_wish(post):
    post.want()
    post.server.room.fault("accept_then_drop")
    post.send()
    said = {"actor": "rita", "now": TODAY, "recipient": None, "options": OPTIONS}
    assert [post.box.resend(1, wish="wish-1", **said) for _ in range(2)] == [2, 2]
    assert post.send().sent == 1
    first, second = post.arrived
    assert first["Message-ID"] == second["Message-ID"]
    assert post.states() == ["dropped", "sent"]
    assert post.want() == []


def test_a_correction_brings_only_what_is_new(post):
    post.want()
    post.send()
    books = post.office.books
    books.decide(Verdict.REJECT, books.charges(resource_id="a")[0]["id"])
    post.office.generate()
    assert len(post.want()) == 1
    post.send()
    assert post.arrived[-1]["Subject"] == "Corrected: Statements, March 2025: 0.00 USD"
    (only,) = post.arrived[-1].iter_attachments()
    assert "S-2025-03-0001_v2" in only.get_filename()


def test_zero_is_sent_by_setting(office, running):
    running.room.clear()
    office.books.put(row(BilledCost="1.00", ResourceId="a"), row(BilledCost="-1.00", ResourceId="b"))
    office.close()
    office.generate()
    post = PostOffice(office, running)
    assert post.want() == []
    post.options = replace(OPTIONS, send_zero=True)
    assert len(post.want()) == 1


def test_without_an_address_a_mail_is_held_and_can_be_sent_elsewhere(office, running):
    running.room.clear()
    office.books.put(row(Tags=tags(pi_email="ada@bio.example.edu, eve@x.edu")))
    for one in office.books.charges():
        if one["status"] == "flagged":
            office.books.decide(Verdict.APPROVE, one["id"])
    office.close()
    office.generate()
    post = PostOffice(office, running)
    post.want()
    assert post.states() == ["held"]
    assert post.send().sent == 0
    post.box.resend(1, wish="w", actor="rita", now=TODAY, recipient=ADDRESS, options=OPTIONS)
    assert post.send().sent == 1
    assert post.server.room.taken[0].recipients == (ADDRESS,)


def test_names_add_no_headers_and_no_markup(office, running):
    running.room.clear()
    evil = "Ada\r\nBcc: eve@x.example\r\n\r\n<script>alert(1)</script>"
    RegistryRepository(office.books.engine).put(
        "investigators", [{"email": ADDRESS, "name": evil, "institution": ""}], actor="pat", now=TODAY
    )
    office.books.put(row(Tags=tags(project_id="<b>\r\nSubject: x")))
    office.close()
    office.generate()
    post = PostOffice(office, running)
    post.want()
    assert post.send().sent == 1
    (taken,) = post.server.room.taken
    (mail,) = post.arrived
    assert taken.recipients == (ADDRESS,)
    assert (mail["Bcc"], len(mail.get_all("Subject"))) == (None, 1)
    html = mail.get_body(("html",)).get_content()
    assert "<script>" not in html
    assert "&lt;b&gt;" in html


def test_large_statements_are_linked(post):
    post.attachment_bytes = 1000
    post.want()
    post.send()
    (mail,) = post.arrived
    assert list(mail.iter_attachments()) == []
    assert "https://x.example/S-2025-03-0001" in mail.get_body(("html",)).get_content()
    assert "https://x.example/S-2025-03-0002" in mail.get_body(("plain",)).get_content()


def test_in_test_mode_everything_goes_to_the_tester_and_counts_for_nothing(post):
    post.options, post.test_recipient = replace(OPTIONS, test=True), "tester@example.edu"
    post.want()
    post.send()
    assert [one.recipients for one in post.server.room.taken] == [("tester@example.edu",)]
    post.options, post.test_recipient = OPTIONS, ""
    assert len(post.want()) == 1
    post.send()
    assert post.server.room.taken[1].recipients == (ADDRESS,)


def test_the_same_mail_is_the_same_bytes(post):
    post.want()
    assert message(post.outgoing(1)) == message(post.outgoing(1))


def test_a_server_that_never_answers_is_not_asked_500_times(office, running):
    running.room.clear()
    people = [f"p{number}@x.example.edu" for number in range(6)]
    office.books.put(*(row(ResourceId=one, Tags=tags(pi_email=one)) for one in people))
    office.close()
    office.generate()
    post = PostOffice(office, running)
    post.want()
    running.room.fault("drop_before_taking", times=100)
    found = post.send()
    assert (found.unknown, bool(found.stopped)) == (3, True)
    assert post.states().count("ready") == 3


BOUNCE = """\
From: MAILER-DAEMON@x.edu
To: statements@example.edu
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It did not work.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.x.edu

Final-Recipient: rfc822; ada@bio.example.edu
Action: {action}
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b
Content-Type: {kind}

Message-ID: {message_id}
Subject: Statements

--b--
"""


@pytest.mark.parametrize("kind", ["text/rfc822-headers", "message/rfc822"])
def test_a_bounce_finds_its_mail(post, kind):
    post.want()
    post.send()
    id_ = post.box.get(1)["message_id"]
    bounce = read_bounce(BOUNCE.format(action="failed", kind=kind, message_id=id_).encode())
    assert bounce is not None
    assert post.box.by_message_id(bounce.message_id) == 1
    post.box.decide(1, MailEvent.BOUNCED, actor="rita", now=TODAY, reason=bounce.reason)
    assert post.states() == ["bounced"]
    assert "550 5.1.1 no such user" in post.box.get(1)["reason"]
    assert read_bounce(BOUNCE.format(action="delayed", kind=kind, message_id=id_).encode()) is None
    assert read_bounce(b"From: ada\r\n\r\nI am away") is None


def test_only_what_the_table_says_can_happen(post):
    post.want()
    with pytest.raises(MailNotAllowed):
        post.box.decide(1, MailEvent.BOUNCED, actor="rita", now=TODAY)
    # Nothing that a server may have taken becomes ready again.
    risky = {MailState.SENDING, MailState.UNKNOWN, MailState.SENT, MailState.BOUNCED}
    back = {(state, event) for (state, event), to in TRANSITIONS.items() if to in (MailState.READY, MailState.WAITING)}
    assert {(state, event) for state, event in back if state in risky} == {(MailState.SENDING, MailEvent.NOT_TAKEN)}
