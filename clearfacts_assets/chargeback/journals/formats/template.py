"""Debit and credit lines as a Jinja2 template writes them, with the variables that OpenChargeback's templates know.

The template sees values only: it runs in a sandbox, reads no files but those beside it, and a name that is not known is
an error with its line. In a template of a ``.csv`` file every value is quoted where it has to be and made harmless.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

from clearfacts_assets.chargeback.journals.cells import LINE_END
from clearfacts_assets.chargeback.journals.formats import FormatOptions
from clearfacts_assets.chargeback.journals.model import Journal, Line, Side
from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.money import plain
from clearfacts_assets.spreadsheet import neutralised

BUILT_IN = Path(__file__).parents[1] / "templates" / "journal_gl.csv"
USUAL_LENGTH = 35  # of a description
_FIXED = re.compile(r"%\.(\d+)f|%f|\{:(,?)\.(\d+)f\}")


class TemplateFailed(ChargebackError):
    """The template cannot be used; nothing was written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line, by the names that templates know. ``amount`` is above zero; other segments are in ``segments``."""

    fund_org: str
    fund: str
    orgn: str
    account: str
    amount: Decimal
    is_debit: bool
    is_credit: bool
    description: str
    source_name: str
    period: str
    pi_email: str
    project_id: str
    reference_id: str
    program: str
    activity: str
    location: str
    segments: dict[str, str]
    statement: str
    number: int
    debit: Decimal | str
    credit: Decimal | str


def written(journal: Journal, options: FormatOptions) -> Iterator[str]:
    path = options.template or BUILT_IN
    environment = _environment(path, options)
    try:
        template = environment.get_template(path.name)
        yield from template.generate(
            entries=[_entry(journal, line) for line in journal.lines],
            period=journal.header.period,
            config={"currency": journal.header.currency, **options.preset},
            journal=journal.as_result(),
            totals={"debit": journal.debit, "credit": journal.credit},
        )
        yield "\n"
    except TemplateNotFound as error:
        raise TemplateFailed(
            "{name} is not in {folder}: the setting journals.template", name=error.name, folder=path.parent
        ) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        line = getattr(error, "lineno", None) or _line_of(error, path)
        where = f"{path.name}, line {line}" if line else path.name
        raise TemplateFailed("{where}: {error}. Nothing was written.", where=where, error=error) from None


def _line_of(error: BaseException, path: Path) -> int | None:
    """The template's line in which the error came up: Jinja2 puts it into the traceback."""
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _environment(path: Path, options: FormatOptions) -> ImmutableSandboxedEnvironment:
    finalize: Callable[[Any], Any] = _cell(options.neutralise) if path.suffix.lower() == ".csv" else _plain
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(path.parent),
        undefined=StrictUndefined,
        finalize=finalize,
        keep_trailing_newline=False,
        autoescape=False,
    )
    environment.filters["truncate_desc"] = lambda text, max_len=USUAL_LENGTH: str(text)[:max_len]
    environment.filters["format"] = _formatted
    return environment


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, Decimal) else value


def _cell(neutralise: bool) -> Callable[[Any], Any]:
    def finalize(value: Any) -> Any:
        if not isinstance(value, str):
            return _plain(value)
        file = io.StringIO()
        csv.writer(file, lineterminator=LINE_END).writerow([neutralised(value) if neutralise else value])
        return "" if value == "" else file.getvalue().removesuffix(LINE_END)

    return finalize


def _formatted(pattern: str, *values: Any, **named: Any) -> Any:
    """``"%.2f" | format(amount)``, exact: the usual filter goes by way of a float."""
    found = _FIXED.fullmatch(pattern)
    if found and len(values) == 1 and isinstance(values[0], Decimal):
        places = int(found[1] or found[3] or 6)
        return Decimal(plain(values[0])).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return pattern % (values or named)


def _entry(journal: Journal, line: Line) -> Entry:
    return Entry(
        fund_org=line.fund_org,
        fund=line.segment("fund"),
        orgn=line.segment("orgn"),
        account=line.account,
        amount=line.amount,
        is_debit=line.side is Side.DEBIT,
        is_credit=line.side is Side.CREDIT,
        description=line.description,
        source_name=line.source,
        period=journal.header.period,
        pi_email=line.pi_email,
        project_id=line.project_id,
        reference_id=line.reference,
        program=line.segment("program"),
        activity=line.segment("activity"),
        location=line.segment("location"),
        segments=dict(line.segments),
        statement=line.statement,
        number=line.number,
        debit=line.debit if line.debit is not None else "",
        credit=line.credit if line.credit is not None else "",
    )
