"""How batches are made and where their files go, as the settings say. Commands, the API and Dagster ask here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clearfacts_assets.chargeback.journals.chart import Chart
from clearfacts_assets.chargeback.journals.files import Prepared, prepare
from clearfacts_assets.chargeback.journals.formats import FormatOptions, file_name, format_of
from clearfacts_assets.chargeback.journals.lifecycle import BatchState
from clearfacts_assets.chargeback.journals.model import Journal, NothingToPost
from clearfacts_assets.chargeback.journals.posting import Wording
from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.journal_settings import JournalSettings
from clearfacts_assets.storage.chargeback.journals.batches import BatchOptions
from clearfacts_assets.storage.chargeback.journals.repository import JournalRepository


@dataclass(slots=True)
class Places:
    """Where the files of batches go: a file or a folder that somebody names, and the folder that the general ledger
    fetches from. ``file`` is for one batch."""

    format: str
    options: FormatOptions
    file: Path | None = None
    folders: tuple[Path, ...] = ()
    _written: list[str] = field(default_factory=list)

    def prepare(self, journal: Journal) -> Sequence[Prepared]:
        """Every file of the journal, written beside its place. Raises ChargebackError, OSError; then nothing stays."""
        paths = [folder / file_name(journal, self.format) for folder in self.folders]
        if self.file is not None:
            if self._written:
                raise ChargebackError(
                    "{file} is one file, and {journals} are several: name a folder, or one --currency",
                    file=self.file,
                    journals=", ".join((*self._written, journal.header.number)),
                )
            paths.insert(0, self.file)
        self._written.append(journal.header.number)
        text, found = format_of(self.format), list[Prepared]()
        try:
            for path in dict.fromkeys(paths):
                found.append(prepare(path, text.written(journal, self.options)))
        except BaseException:
            for one in found:
                one.drop()
            raise
        return found


def format_options(said: JournalSettings, name: str) -> FormatOptions:
    """Of this format. Raises LookupError where there is none of this name."""
    format_of(name)
    return FormatOptions(said.neutralise, said.template, said.presets.get(name, {}))


def file_to_fetch(
    repository: JournalRepository, number: str, said: JournalSettings, format: str = ""
) -> tuple[str, bytes]:
    """Name and content of a journal's file, as the general ledger fetches it; the state stays.

    Raises NothingToPost for a draft, which has none; NoSuchBatch; LookupError for an unknown format.
    """
    name = format or said.format
    if repository.get(number)["state"] == BatchState.DRAFT:
        raise NothingToPost("{number} is a draft, and has no file yet", number=number)
    journal = repository.journal(number)
    text = "".join(format_of(name).written(journal, format_options(said, name)))
    return file_name(journal, name), text.encode()


def batch_options_of(
    said: JournalSettings, *, format: str = "", output: Path | None = None, default: Path | None = None
) -> BatchOptions:
    """As the settings say. ``output`` is a folder that is there, or a file; without one files go to the folder
    ``journals.drop``, else to ``default``. Raises LookupError for an unknown format."""
    name = format or said.format
    options = format_options(said, name)
    drop = (said.drop,) if said.drop else ()
    if output is None:
        places = Places(name, options, None, drop or ((default,) if default else ()))
    elif output.is_dir():
        places = Places(name, options, None, (output, *drop))
    else:
        places = Places(name, options, output, drop)
    return BatchOptions(
        chart=Chart(
            fund_org_regex=said.fund_org_regex,
            account_code_regex=said.account_code_regex,
            default_account=said.default_account,
            account_codes=said.account_codes,
            category_accounts=said.category_accounts,
            credit_fund=said.credit_fund,
            credit_account=said.credit_account,
            segments=said.segments,
            credit_segments=said.credit_segments,
            suspense=said.suspense,
        ),
        wording=Wording(said.debit_description, said.credit_description, said.description_characters),
        fiscal_year_start=said.fiscal_year_start,
        dated_today=said.accounting_date == "today",
        accrual_account=said.accrual_account,
        format=name,
        prepare=places.prepare,
    )
