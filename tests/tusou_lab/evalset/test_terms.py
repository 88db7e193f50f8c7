"""Terms come from the description, the attributes and the titles of a pool, each once."""

from pathlib import Path

import pytest
from tusou_lab.evalset.domain import Domain, Term, TitleTerms, format_domain, read_domain
from tusou_lab.evalset.plan import plan_queries
from tusou_lab.evalset.terms import TermItems, gather_terms
from tusou_lab.evalset.title_terms import find_title_terms

from tusou.attributes.table import AttributeTable
from tusou.core.errors import BadDataset

TITLES = (
    "韩版宽松碎花连衣裙女夏季新款",
    "碎花连衣裙 女",
    "ins风 纯棉T恤 男 2024春季短袖上衣",
    "纯棉短袖T恤男",
    "真皮斜挎包女士百搭单肩水桶包",
    "真皮水桶包",
    "儿童防滑洞洞鞋男童女童凉鞋夏",
    "防滑凉鞋",
    "",
)


@pytest.fixture(scope="module")
def table() -> AttributeTable:
    rows = [
        {"title": title, "colour": "红色" if n % 2 else "蓝色"} for n, title in enumerate(TITLES)
    ]
    return AttributeTable.from_rows({"title": "string", "colour": "string"}, rows)


def test_heads_of_phrases_are_concepts_and_what_describes_them_values() -> None:
    concepts, attributes = find_title_terms(TITLES, TitleTerms(least_items=1))
    assert {"连衣裙", "T恤", "水桶包", "斜挎包", "凉鞋", "洞洞鞋"} <= {
        term.name for term in concepts
    }
    (attribute,) = attributes
    values = {term.name for term in attribute.values}
    assert {"碎花", "纯棉", "真皮", "防滑", "短袖", "女士", "儿童"} <= values
    assert not values & {"新款", "百搭", "女", "2024"}
    assert {term.source for term in (*concepts, *attribute.values)} == {"titles"}


def test_the_most_frequent_words_are_taken() -> None:
    spec = TitleTerms(concepts=2, values=1, least_items=2)
    concepts, attributes = find_title_terms(
        ["碎花连衣裙"] * 5 + ["纯棉T恤"] * 3 + ["真皮包包"], spec
    )
    assert [term.name for term in concepts] == ["连衣裙", "T恤"]
    assert [term.name for term in attributes[0].values] == ["碎花"]
    assert find_title_terms([], spec) == ((), ())


def test_terms_of_titles_only_meet_where_a_title_names_both(table: AttributeTable) -> None:
    source = {"least_items": 2}
    domain = Domain.model_validate({"name": "服饰", "from_titles": source, "budget": 40})
    planned = plan_queries(domain, table, 1).queries
    texts = [each.text for each in planned if each.style != "typo"]
    assert any("碎花" in text and "连衣裙" in text for text in texts)
    for text in texts:
        named = {
            word for word in ("碎花", "纯棉", "真皮", "防滑") if word in text and "不要" not in text
        }
        for word in named:
            if "除了" not in text:
                assert any(word in title and _concept_of(text) in title for title in TITLES)
    assert all(each.wanted is None for each in planned)


def _concept_of(text: str) -> str:
    return next(word for word in ("连衣裙", "T恤", "水桶包", "凉鞋") if word in text)


def test_a_term_that_no_title_names_is_not_judged_by_titles(table: AttributeTable) -> None:
    items = TermItems(table, TitleTerms())
    dress, shoe = Term(name="连衣裙"), Term(name="凉鞋")
    red, leather, unknown = (
        Term(name="红色", where={"colour": "红色"}),
        Term(name="真皮"),
        Term(name="显瘦"),
    )
    assert items.any_pass(dress, [], None)
    assert items.any_pass(dress, [unknown], None)
    assert not items.any_pass(dress, [leather], None)
    assert items.any_pass(dress, [red], None)
    assert not items.any_pass(Term(name="T恤", where={"colour": "红色"}), [], red)
    assert TermItems(None, None).any_pass(shoe, [leather], None)


def test_a_term_that_is_named_already_is_left_out(table: AttributeTable) -> None:
    given = {
        "name": "服饰",
        "concepts": [{"name": "裙子", "words": ["连衣裙"]}],
        "attributes": [{"name": "面料", "values": [{"name": "纯棉"}, {"name": "水桶包"}]}],
        "from_titles": {"least_items": 1},
    }
    gathered = gather_terms(Domain.model_validate(given), table)
    names = [term.name for term in gathered.concepts]
    assert names[0] == "裙子"
    assert not {"连衣裙", "水桶包"} & set(names)
    values = [term.name for attribute in gathered.attributes for term in attribute.values]
    assert values.count("纯棉") == 1
    assert gather_terms(gathered, table) == gathered
    with pytest.raises(BadDataset, match="from_titles needs"):
        gather_terms(Domain.model_validate(given), None)


def test_a_written_domain_is_read_again(table: AttributeTable, tmp_path: Path) -> None:
    given = {
        "name": "女'装\"",
        "about": "一家小店：\n卖裙子 # 不是注释",
        "concepts": [{"name": "a: b", "where": {"colour": {"$in": ["红色", "蓝色"]}}}],
        "attributes": [{"name": "面料", "refusable": False, "values": [{"name": "纯棉"}]}],
        "from_pool": {"concepts": "colour", "least_items": 1},
        "from_titles": {"least_items": 1},
        "queries": [{"text": "小香风外套", "person": "李雷", "where": {"colour": "红色"}}],
        "budget": 7,
    }
    gathered = gather_terms(Domain.model_validate(given), table)
    path = tmp_path / "domain.yaml"
    path.write_text(format_domain(gathered), "utf-8")
    assert read_domain(path) == gathered
    assert len(gathered.concepts) > 5


def test_queries_that_people_wrote_come_first_and_name_them() -> None:
    queries = [
        {"text": "小香风外套", "person": "李雷", "concept": "外套", "where": {"colour": "红色"}},
        {"text": "通勤 外套", "person": "韩梅梅", "style": "sentence"},
        {"text": "通勤外套", "person": "韩梅梅"},
        {"text": "通勤大衣", "person": "韩梅梅"},
    ]
    concepts = [{"name": "外套", "where": {"kind": "外套"}}]
    domain = {"name": "外套", "concepts": concepts, "queries": queries, "budget": 2}
    plan = plan_queries(Domain.model_validate(domain), None, 1, ["男款外套"])
    assert [(each.text, each.author, each.style) for each in plan.queries] == [
        ("小香风外套", "person:李雷", "short"),
        ("通勤 外套", "person:韩梅梅", "sentence"),
    ]
    first = plan.queries[0]
    assert (first.wanted, first.concept_filter) == ({"colour": "红色"}, {"kind": "外套"})
    assert plan.left_out == {"beyond the budget": 2}
