"""Banner's feed of journal entries (GURFEED): record 1 with the total of all details, then a record 2 for each line.

Fixed values of the preset: ``system_id``, ``document_code``, ``rule_class``, ``chart``, ``user_id``, ``bank_code``.
"""

from __future__ import annotations

from collections.abc import Iterator

from clearfacts_assets.chargeback.journals.cells import Cell, rows_as_csv
from clearfacts_assets.chargeback.journals.formats import FormatOptions
from clearfacts_assets.chargeback.journals.formats.gl import places
from clearfacts_assets.chargeback.journals.model import Journal
from clearfacts_assets.money import EXACT

HEADER = (
    *("SYSTEM_ID", "SYSTEM_TIME_STAMP", "DOC_CODE", "REC_TYPE", "SUBMISSION_NUMBER", "ITEM_NUM", "SEQ_NUM"),
    *("USER_ID", "RUCL_CODE", "DOC_REF_NUM", "TRANS_DATE", "TRANS_AMT", "TRANS_DESC", "DR_CR_IND", "BANK_CODE"),
    *("COAS_CODE", "FUND_CODE", "ORGN_CODE", "ACCT_CODE", "PROG_CODE", "ACTV_CODE", "LOCN_CODE", "CURR_CODE"),
)
LONGEST_DESCRIPTION, LONGEST_REFERENCE, LONGEST_DOCUMENT = 35, 8, 8


def written(journal: Journal, options: FormatOptions) -> Iterator[str]:
    return rows_as_csv(_rows(journal, options), neutralise=options.neutralise)


def _rows(journal: Journal, options: FormatOptions) -> Iterator[tuple[Cell, ...]]:
    yield HEADER
    said, head = options.preset, journal.header
    stamp, day = f"{head.journal_date:%Y%m%d}", f"{head.accounting_date:%d-%b-%Y}".upper()
    document = said.get("document_code") or f"CB{head.period[2:4]}{head.period[5:7]}{head.number[-2:]}"
    begin = (said.get("system_id", "CHARGEBK"), stamp, document[:LONGEST_DOCUMENT])
    total = EXACT.add(journal.debit, journal.credit)
    user, rule, bank = said.get("user_id", ""), said.get("rule_class", "JE16"), said.get("bank_code", "")
    title = head.description[:LONGEST_DESCRIPTION]
    yield (*begin, "1", 0, 0, 0, user, "", "", day, total, title, "", *[""] * 8, head.currency)
    for line in journal.lines:
        fund, orgn, account, *others = places(line)
        names = (rule, line.statement[-LONGEST_REFERENCE:], day, line.amount, line.description[:LONGEST_DESCRIPTION])
        where = (bank, said.get("chart", ""), fund, orgn, account, *others, head.currency)
        yield (*begin, "2", 0, 0, line.number, user, *names, line.side.value, *where)
