"""``emails``: mails with statements, sent once; what is in doubt waits for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clearfacts_assets.cli.chargeback.shared import AsJson, By, ForPeriod, MaybePeriod, Reason, ledger, now, told, who
from clearfacts_assets.cli.console import fail, instant, print_json, print_table, say

app = typer.Typer(help="E-mails with statements: each is sent once; what is in doubt waits for a person.")

Id = Annotated[int, typer.Argument(metavar="ID", help="the mail's, as `emails list` shows it")]


@app.command()
def send(
    period: MaybePeriod = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say who would get a mail, and send nothing")] = False,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Send what is due: with -p also what was never in a mail. Exit code 1 where something was not sent."""
    from clearfacts_assets.cli.chargeback import mailing
    from clearfacts_assets.settings import load

    engine = ledger()
    with told():
        if period:
            found = mailing.enqueue_and_send(engine, period, actor=who(actor), dry_run=dry_run)
        elif not load().email.host:
            fail("email.host is not set: nothing can be sent")
        else:
            found = mailing.send(engine, None)
    if as_json:
        print_json(found)
    else:
        tell_counts(found)
    if not_all_sent(found):
        raise typer.Exit(1)


def not_all_sent(found: dict[str, Any]) -> bool:
    return bool(found.get("stopped")) or any(found.get(name) for name in ("refused", "unknown", "waiting", "lapsed"))


def tell_counts(found: dict[str, Any]) -> None:
    if "would_send" in found:
        rows = [(email, ", ".join(numbers)) for email, numbers in found["would_send"].items()]
        print_table("Mails that would be sent", ("to", "statements"), rows)
        return
    names = ("wanted", "sent", "waiting", "refused", "unknown", "lapsed")
    print_table("E-mails", ("", ""), [(name, found[name]) for name in names if name in found])
    if found.get("stopped"):
        say(f"Stopped: {found['stopped']}")


@app.command("list")
def list_(
    period: MaybePeriod = None,
    state: Annotated[list[str] | None, typer.Option("--state", help="only these, as unknown")] = None,
    to: Annotated[str | None, typer.Option("--to", help="only to this address")] = None,
    as_json: AsJson = False,
) -> None:
    """The log of mails, oldest first."""
    from clearfacts_assets.storage.chargeback.issuing.mails import MailBox

    found = MailBox(ledger()).list(period=period, states=state or (), recipient=to)
    if as_json:
        print_json({"emails": found})
        return
    columns = ("id", "period", "recipient", "state", "attempts")
    rows = [[*(one[name] for name in columns), instant(one["changed_at"]), one["reason"]] for one in found]
    print_table("E-mails", ("id", "period", "to", "state", "tries", "since", "why"), rows, right=("id", "tries"))


@app.command()
def show(id_: Id, as_json: AsJson = False) -> None:
    """One mail: what it brings, and every try."""
    from clearfacts_assets.storage.chargeback.issuing.mails import MailBox

    with told():
        one = MailBox(ledger()).get(id_)
    if as_json:
        print_json(one)
        return
    names = ("recipient", "copies", "subject", "state", "reason", "message_id", "statements")
    print_table(f"Mail {id_}", ("", ""), [(name.replace("_", " "), one[name]) for name in names])
    rows = [(instant(a["at"]), a["event"], a["code"] or "", a["answer"], a["actor"]) for a in one["history"]]
    print_table("What happened", ("at", "what", "code", "answer", "by"), rows)


@app.command()
def preview(
    period: ForPeriod,
    output: Annotated[Path, typer.Option("-o", "--output", help="folder for .eml, .html and .txt files")],
    as_json: AsJson = False,
) -> None:
    """Write the mails that would be sent into a folder. Nothing is sent, and nothing is marked."""
    from clearfacts_assets.chargeback.notifications.statement_mails import previews
    from clearfacts_assets.chargeback.statements.mailing import bodies, message
    from clearfacts_assets.chargeback.statements.model import file_name
    from clearfacts_assets.settings import load

    engine, mails, written = ledger(), 0, []
    output.mkdir(parents=True, exist_ok=True)
    with told():
        for mails, (email, outgoing) in enumerate(previews(engine, load(), period, now()), start=1):
            stem = output / file_name(f"{mails:04d}", period, email)
            text, html = bodies(outgoing)
            for ending, content in ((".eml", message(outgoing)), (".html", html.encode()), (".txt", text.encode())):
                path = stem.with_name(stem.name + ending)
                path.write_bytes(content)
                written.append(str(path))
    if as_json:
        print_json({"written": written, "mails": mails})
    else:
        say(f"{mails} mails are in {output}; none was sent.")


@app.command()
def resend(
    id_: Id,
    to: Annotated[str | None, typer.Option("--to", help="another address")] = None,
    wish: Annotated[str | None, typer.Option("--wish", help="an id of yours: the same id sends one mail")] = None,
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Send the same statements once more, knowingly, as another mail."""
    from clearfacts_assets.chargeback.notifications import statement_mails
    from clearfacts_assets.settings import load

    with told():
        found = statement_mails.resend(ledger(), load(), id_, wish=wish, actor=who(actor), clock=now, to=to)
    if as_json:
        print_json(found)
    else:
        say(f"Mail {found['id']} repeats mail {id_}.")
        tell_counts(found)


@app.command()
def confirm(id_: Id, reason: Reason, actor: By = None, as_json: AsJson = False) -> None:
    """A mail in doubt has arrived: the reason says how that is known."""
    from clearfacts_assets.chargeback.statements.mail_lifecycle import MailEvent

    _decide(id_, MailEvent.CONFIRMED, actor, reason, as_json)


@app.command()
def drop(id_: Id, reason: Reason, actor: By = None, as_json: AsJson = False) -> None:
    """A mail will not be sent."""
    from clearfacts_assets.chargeback.statements.mail_lifecycle import MailEvent

    _decide(id_, MailEvent.DROPPED, actor, reason, as_json)


@app.command()
def bounced(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="[ID|FILE]...", help="mails, or bounces as .eml files")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="why, of mails that are named by id")] = "",
    actor: By = None,
    as_json: AsJson = False,
) -> None:
    """Record bounces; without arguments list what bounced."""
    from clearfacts_assets.chargeback.statements.bounces import read_bounce
    from clearfacts_assets.chargeback.statements.mail_lifecycle import MailEvent
    from clearfacts_assets.storage.chargeback.issuing.mails import MailBox

    if not what:
        list_(state=["bounced"], as_json=as_json)
        return
    box, done, unknown = MailBox(ledger()), [], []
    with told():
        for one in what:
            id_, why = (int(one), reason) if one.isdecimal() else (None, "")
            if id_ is None and (bounce := read_bounce(Path(one).read_bytes())):
                id_, why = box.by_message_id(bounce.message_id), bounce.reason
            if id_ is None:
                unknown.append(one)
                continue
            box.decide(id_, MailEvent.BOUNCED, actor=who(actor), now=now(), reason=why)
            done.append(id_)
    if as_json:
        print_json({"bounced": done, "not_ours": unknown})
    else:
        say(f"{len(done)} bounced: {', '.join(map(str, done)) or 'none'}.")
        for one in unknown:
            say(f"{one}: it is about no mail of ours")
    if unknown:
        raise typer.Exit(1)


def _decide(id_: int, event: Any, actor: str | None, reason: str, as_json: bool) -> None:
    from clearfacts_assets.storage.chargeback.issuing.mails import MailBox

    with told():
        state = MailBox(ledger()).decide(id_, event, actor=who(actor), now=now(), reason=reason)
    if as_json:
        print_json({"id": id_, "state": state})
    else:
        say(f"Mail {id_} is {state}.")


@app.command()
def delegate(
    pi: Annotated[str, typer.Argument(help="the investigator's address")],
    to: Annotated[str, typer.Argument(help="who gets copies of the investigator's mails")],
    remove: Annotated[bool, typer.Option("--remove", help="no more")] = False,
    actor: By = None,
) -> None:
    """Let somebody get copies of an investigator's mails."""
    from clearfacts_assets.chargeback.notifications.statement_mails import problem_of
    from clearfacts_assets.storage.chargeback.issuing.mails import MailBox

    if problem_of(to) and not remove:
        fail(f"{to!r} is no address that a mail can go to", code=2)
    MailBox(ledger()).delegate(pi.strip().lower(), to, add=not remove, actor=who(actor), now=now())
    say(f"{to} gets {'no more copies' if remove else 'a copy'} of mails to {pi}.")
