"""Planned queries say what their filters mean, differ, and come in the wanted styles."""

import json
from collections import Counter
from pathlib import Path

import pytest
from tusou_lab.evalset.domain import Domain, read_domain
from tusou_lab.evalset.near_texts import NearTexts
from tusou_lab.evalset.plan import plan_queries

from tusou.attributes.filters import parse_filter
from tusou.attributes.table import AttributeTable
from tusou.core.errors import BadDataset

COLOURS, KINDS = ("红色", "蓝色", "黑色", "米白"), ("连衣裙", "衬衫", "帆布鞋")
ROWS = [
    {"category": kind, "tags": [colour, material]}
    for kind in KINDS
    for colour in COLOURS
    for material in ("纯棉", "真丝")
    for _ in range(3)
    if (kind, colour) != ("衬衫", "黑色")
]
DOMAIN = {
    "name": "服饰",
    "concepts": [{"name": kind, "where": {"category": kind}} for kind in KINDS],
    "attributes": [
        {"name": "颜色", "values": [{"name": one, "where": {"tags": one}} for one in COLOURS]},
        {"name": "材质", "values": [{"name": "纯棉", "where": {"tags": "纯棉"}}]},
    ],
    "budget": 60,
}


@pytest.fixture(scope="module")
def table() -> AttributeTable:
    return AttributeTable.from_rows({"category": "string", "tags": "strings"}, ROWS)


def test_every_text_is_answered_by_an_item_and_says_its_concept(table: AttributeTable) -> None:
    planned = plan_queries(Domain.model_validate(DOMAIN), table, 1).queries
    assert len({each.text for each in planned}) == len(planned) > 40
    for each in planned:
        assert each.wanted is not None
        assert table.mask(parse_filter(each.wanted)).any()
        if each.style != "typo":
            assert each.concept in each.text
    assert not any(each.text.startswith("黑色衬衫") for each in planned)
    assert Counter(each.style for each in planned).keys() == {
        "short",
        "sentence",
        "refusal",
        "typo",
    }


def test_a_refusal_takes_its_items_away(table: AttributeTable) -> None:
    only = {**DOMAIN, "styles": {"refusal": 1}}
    planned = plan_queries(Domain.model_validate(only), table, 1).queries
    assert len(planned) > 10
    for each in planned:
        assert each.wanted is not None
        *_, refused = each.wanted["$and"]
        word = refused["$not"]["tags"]
        assert word in each.text
        passing = table.mask(parse_filter(each.wanted))
        assert not any(word in ROWS[key]["tags"] for key in passing.nonzero()[0])


def test_the_same_seed_plans_the_same_and_another_other_texts(table: AttributeTable) -> None:
    domain = Domain.model_validate(DOMAIN)
    first, again, other = (
        [each.text for each in plan_queries(domain, table, seed).queries] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_terms_are_taken_from_the_pool(table: AttributeTable) -> None:
    source = {"concepts": "category", "attributes": ["tags"], "least_items": 20}
    domain = Domain.model_validate({"name": "服饰", "from_pool": source, "budget": 30})
    planned = plan_queries(domain, table, 3).queries
    assert {each.concept for each in planned} == {"连衣裙", "帆布鞋"}  # 18 items are shirts
    other = Domain.model_validate({"name": "x", "from_pool": {"concepts": "colour"}})
    with pytest.raises(BadDataset, match="no attribute 'colour'"):
        plan_queries(other, table, 3)
    with pytest.raises(BadDataset, match="--bundle"):
        plan_queries(domain, None, 3)


def test_a_log_fills_its_share_and_what_was_said_already_is_left_out(
    table: AttributeTable,
) -> None:
    log = ["夏季连衣裙", "夏季 连衣裙", "夏季连衣裙女", "牛仔外套", "", "儿童雨鞋"]
    plan = plan_queries(Domain.model_validate({**DOMAIN, "budget": 10}), table, 1, log, 0.3)
    styles = Counter(each.style for each in plan.queries)
    assert (styles["log"], len(plan.queries)) == (3, 10)
    assert all(each.wanted is None for each in plan.queries if each.style == "log")
    everything = plan_queries(Domain.model_validate({"name": "x", "budget": 9}), None, 1, log)
    assert len(everything.queries) == 4
    assert everything.left_out == {"said already": 1, "not a query": 1}


def test_near_texts_are_found_whatever_their_order() -> None:
    near = NearTexts()
    assert near.add("复古碎花长袖连衣裙女款夏季")
    assert not near.add("复古 碎花长袖 连衣裙女款夏季")
    assert not near.add("复古碎花长袖连衣裙女款夏季")
    assert near.add("复古碎花短袖连衣裙男款冬季")
    assert not near.add("  ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [1", "is not YAML"),
        ("- a", "must hold a mapping"),
        ("name: x\nconcepts: [{name: 裙, where: {price: {$near: 3}}}]", "concepts.0.where: "),
        ("name: x\ncolour: red", "colour: Extra inputs are not permitted"),
        ("name: x\nstyles: {short: 0}", "styles: one of the styles must be above 0"),
    ],
)
def test_a_domain_that_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "domain.yaml"
    path.write_text(text)
    with pytest.raises(BadDataset) as raised:
        read_domain(path)
    assert message in str(raised.value)
    assert str(path) in str(raised.value)


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(json.dumps(DOMAIN))
    (tmp_path / "d.yaml").write_text(json.dumps(DOMAIN, ensure_ascii=False))
    assert read_domain(tmp_path / "d.json") == read_domain(tmp_path / "d.yaml")
