"""Handing a mail to a real SMTP server: what is said of each way in which that can go wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clearfacts_assets.notifications.email import ADDRESS, SmtpClient, SmtpServer
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.simulator.mail import PASSWORD, USERNAME, MailServer

SENDER, TO, COPY = "statements@example.edu", "ada@bio.example.edu", "office@bio.example.edu"
MAIL = b"Subject: March\r\n\r\n.hidden\r\nline\nlast"


@pytest.fixture(scope="module")
def running() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def mail(running: MailServer) -> MailServer:
    running.room.clear()
    return running


def server(mail: MailServer, **said: object) -> SmtpServer:
    usual = {"host": "127.0.0.1", "port": mail.port, "security": "starttls", "username": USERNAME}
    return SmtpServer(**{**usual, "password": PASSWORD, "deadline": 60.0, "ca_file": mail.ca_file, **said})  # type: ignore[arg-type]


def test_a_mail_arrives_whole_encrypted_and_with_its_copies(mail):
    with SmtpClient(server(mail)) as smtp:
        answer = smtp.hand_over(SENDER, TO, [COPY], MAIL)
    assert (answer.outcome, answer.code) == (OutcomeKind.ACCEPTED, 250)
    (taken,) = mail.room.taken
    assert (taken.sender, taken.recipients, taken.encrypted) == (SENDER, (TO, COPY), True)
    assert taken.content == b"Subject: March\r\n\r\n.hidden\r\nline\r\nlast\r\n"


def test_one_connection_carries_many_mails(mail):
    with SmtpClient(server(mail)) as smtp:
        for _ in range(5):
            assert smtp.hand_over(SENDER, TO, [], MAIL).outcome == OutcomeKind.ACCEPTED
    assert (len(mail.room.taken), mail.room.connections) == (5, 1)


@pytest.mark.parametrize(
    ("fault", "outcome", "code", "taken", "whole_server"),
    [
        ("refuse_recipient", OutcomeKind.REFUSED, 550, 0, False),
        ("greylist", OutcomeKind.NOT_SENT, 451, 0, False),
        ("refuse_text", OutcomeKind.REFUSED, 554, 0, False),
        ("busy", OutcomeKind.NOT_SENT, 452, 0, False),
        ("shut_down", OutcomeKind.NOT_SENT, 421, 0, True),
        ("nonsense", OutcomeKind.UNKNOWN, 354, 0, False),
        ("drop_before_taking", OutcomeKind.UNKNOWN, None, 0, False),
        ("accept_then_drop", OutcomeKind.UNKNOWN, None, 1, False),
    ],
)
def test_each_fault_has_its_outcome_and_the_next_mail_arrives(mail, fault, outcome, code, taken, whole_server):
    mail.room.fault(fault)
    with SmtpClient(server(mail)) as smtp:
        answer = smtp.hand_over(SENDER, TO, [], MAIL)
        assert (answer.outcome, answer.code, answer.server) == (outcome, code, whole_server)
        assert len(mail.room.taken) == taken
        assert smtp.hand_over(SENDER, TO, [], MAIL).outcome == OutcomeKind.ACCEPTED


def test_a_copy_that_is_refused_hinders_nothing_and_is_named(mail):
    mail.room.fault("refuse_recipient", contains="office@")
    with SmtpClient(server(mail)) as smtp:
        answer = smtp.hand_over(SENDER, TO, [COPY], MAIL)
    assert answer.outcome == OutcomeKind.ACCEPTED
    assert f"no copy to {COPY}: 550" in answer.answer
    assert mail.room.taken[0].recipients == (TO,)


@pytest.mark.parametrize(
    "said",
    [
        {"password": "wrong"},
        {"ca_file": None},
        {"port": 1},
        {"security": "none"},  # the server wants STARTTLS first
    ],
)
def test_without_login_trust_or_connection_nothing_can_have_arrived(mail, said):
    with SmtpClient(server(mail, **said)) as smtp:
        answer = smtp.hand_over(SENDER, TO, [], MAIL)
    assert (answer.outcome, answer.server) == (OutcomeKind.NOT_SENT, True)
    assert mail.room.taken == []


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("ada@bio.example.edu", True),
        ("o'hara+x@x.edu", True),
        ("demo@localhost", True),
        ("", False),
        ("ada", False),
        ("ada@x.edu\r\nBcc: eve@x.edu", False),
        ("ada@x.edu, eve@x.edu", False),
        ("<ada@x.edu>", False),
        ("ada @x.edu", False),
        ("ädä@x.edu", False),
        ("a" * 65 + "@x.edu", False),
    ],
)
def test_an_address_is_one_mailbox(address, good):
    assert bool(ADDRESS.fullmatch(address)) is good
