"""The page of one invoice at the door: who gets it, and that nothing a document says becomes markup."""

from __future__ import annotations

from uuid import UUID, uuid4

from lxml import html
from sqlalchemy import insert

from clearfacts_assets.invoices.validation.engine import report_as_json
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan
from clearfacts_assets.storage.invoices.tables import InvoiceRow, Job
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback import NOW
from clearfacts_assets_tests.fixtures.desk import Person, investigator
from clearfacts_assets_tests.fixtures.ubl_documents import document, edited

HOSTILE = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;{{ 7*7 }}"


def kept(api: RunningApi, content: bytes | None, invoice_id: str = "ERP/7") -> UUID:
    """A row that a job left, validated by structure and sums alone, which is quick."""
    job_id, row_id = uuid4(), uuid4()
    report = report_as_json(Inspector(ValidationPlan(layers=("ubl_xsd", "amounts"))).inspect(content or document()))
    with api.engine.begin() as connection:
        connection.execute(
            insert(Job).values(id=job_id, job_type="manual", status="completed", created_at=NOW, updated_at=NOW)
        )
        connection.execute(
            insert(InvoiceRow).values(
                id=row_id,
                job_id=job_id,
                invoice_id=invoice_id,
                ubl_data=content.decode() if content else None,
                status="failed",
                report=report,
                created_at=NOW,
                updated_at=NOW,
            )
        )
    return row_id


def test_an_invoice_is_read_beside_its_findings_and_what_it_says_is_only_text(quick_api: RunningApi) -> None:
    wrong = edited(document(), ">79.21</cbc:TaxInclusiveAmount>", ">79.31</cbc:TaxInclusiveAmount>")
    row_id = kept(quick_api, wrong.replace(b"Drukkerij De Lelie BV", HOSTILE.encode()))
    reader = Person(quick_api, "user")
    reader.client.headers["Accept-Language"] = "fr"
    answer = reader.client.get(f"/desk/invoices/{row_id}")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert ("default-src 'none'" in policy, "unsafe" in policy) == (True, False)
    page = html.fromstring(answer.text)
    piece = page.xpath("//div[@class='inv']")[0]
    assert not piece.xpath(".//script|.//img|.//iframe|.//form|.//@style|.//@onerror")
    assert "<script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}" in piece.text_content()
    assert "net 65,46 + TVA 13,75 : ensemble 79,21 ; le document indique 79,31 : 0,10 de trop" in piece.text_content()
    (mark,) = piece.xpath(".//table[contains(@class, 'inv-totals')]/caption/a/@href")
    assert piece.xpath(f".//*[@id='{mark[1:]}']//code[text()='BR-CO-15']")
    sheet = page.xpath("//link/@href[contains(., 'invoice.')]")[0]
    assert reader.client.get(sheet).headers["content-type"].startswith("text/css")


def test_the_erps_id_finds_the_newest_row_and_a_document_that_is_gone_leaves_its_findings(
    quick_api: RunningApi,
) -> None:
    kept(quick_api, None)
    text = Person(quick_api, "reviewer").get("/desk/invoices/ERP/7")
    assert "The document is not kept here" in text
    for wrong in (str(uuid4()), "nothing", "x" * 5000, "%00"):
        Person(quick_api, "operator").get(f"/desk/invoices/{wrong}", 404)


def test_strangers_are_led_to_the_login_and_investigators_may_not_read_invoices(quick_api: RunningApi) -> None:
    row_id = kept(quick_api, document())
    answer = quick_api.client(None).get(f"/desk/invoices/{row_id}", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next=/desk/invoices/{row_id}")
    investigator(quick_api).get(f"/desk/invoices/{row_id}", 403)
