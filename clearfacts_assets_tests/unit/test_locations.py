"""Where an element stands, told from the index and from lxml's tree alike, however long the document."""

from __future__ import annotations

import random

import pytest
from lxml import etree

from clearfacts_assets.invoices.validation.elements import element_at, element_index_of, location_of
from clearfacts_assets.invoices.validation.ubl import parse
from clearfacts_assets_tests.fixtures.ubl_documents import document

MANY = 50  # lines: more than are walked to


@pytest.mark.parametrize("lines", [2, MANY])
@pytest.mark.parametrize("order", ["forth", "back", "anyhow"])
def test_a_place_is_the_same_by_the_index_and_by_the_tree_in_whatever_order_it_is_asked(lines: int, order: str) -> None:
    parsed = parse(document(lines=lines))
    pairs = list(zip(element_index_of(parsed).root.everything(), parsed.root.iter(etree.Element), strict=True))
    if order == "back":
        pairs.reverse()
    elif order == "anyhow":
        random.Random(16).shuffle(pairs)
    for ours, theirs in pairs:
        assert location_of(ours) == location_of(theirs)
        assert element_at(parsed.root, location_of(ours)) is theirs
    assert len({location_of(ours) for ours, _ in pairs}) == len(pairs)
