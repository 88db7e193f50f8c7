"""Requests as they are written, and replies that are not as documented."""

import json
from pathlib import Path

import pytest
from tusou_client import RetryPolicy, ServiceError, wire
from tusou_client.errors import BadReply
from tusou_client.wire import Reply

from tests.tusou_client.sending import Send, send_blocking


def test_every_field_of_a_search(send: Send, server, tmp_path: Path) -> None:
    (tmp_path / "shoe.jpg").write_bytes(b"\xff\xd8")
    fields = {"negative": "红", "negative_weight": 0.25, "exclude": [1, "2"]}
    by_bytes = wire.search("裙", 3, {"image": b"\xff\xd8"} | fields)  # type: ignore[arg-type]
    by_path = wire.search("裙", 3, {"image": tmp_path / "shoe.jpg"} | fields)  # type: ignore[arg-type]
    assert by_bytes.body == by_path.body
    assert json.loads(by_bytes.body or b"") == {
        "query": "裙",
        "top_k": 3,
        "image": "/9g=",
        "negative": "红",
        "negative_weight": 0.25,
        "exclude": [1, "2"],
    }
    assert json.loads(wire.search(None, 3, {"item_id": 7}).body or b"") == {
        "top_k": 3,
        "item_id": 7,
    }
    assert send(server.url, "search", "裙", 3).negative is None


def test_an_interpreted_query_is_reported() -> None:
    reply = {
        "item_ids": [1],
        "scores": [0.5],
        "truncated": False,
        "index_version": "v2",
        "interpreted": {"positive": "裙", "negative": "红"},
        "version_changed": True,
    }
    read = wire.search("裙不要红", 1).read
    hits = read(Reply(200, json.dumps(reply).encode()), "http://service")
    assert (hits.positive, hits.negative, hits.version_changed) == ("裙", "红", True)
    reply["interpreted"] = {"positive": 1}
    with pytest.raises(BadReply):
        read(Reply(200, json.dumps(reply).encode()), "http://service")


REPLY: dict[str, object] = {
    "item_ids": [1, 2],
    "scores": [0.5, 0.25],
    "truncated": False,
    "index_version": "v2",
    "attributes": [{"title": "裙", "price": 89.9, "new": True, "tags": ["夏季"]}, {}],
    "others": [2, 0],
    "facets": {"new": [{"value": True, "count": 7}], "color": []},
    "matching_items": 9,
}


def test_attributes_and_counts_are_read() -> None:
    hits = wire.search("裙", 2).read(Reply(200, json.dumps(REPLY).encode()), "http://service")
    assert hits.attributes == ({"title": "裙", "price": 89.9, "new": True, "tags": ["夏季"]}, {})
    assert (hits.others, hits.matching_items) == ((2, 0), 9)
    assert hits.facets == {"new": [(True, 7)], "color": []}
    assert hits.to_rows()[0] == {
        "rank": 1,
        "item_id": 1,
        "score": 0.5,
        "attributes": {"title": "裙", "price": 89.9, "new": True, "tags": ["夏季"]},
        "others": 2,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attributes", [{}]),
        ("attributes", [{}, None]),
        ("attributes", [{}, {"price": None}]),
        ("attributes", [{}, {"price": {"$eq": 1}}]),
        ("attributes", [{}, {"tags": [[]]}]),
        ("others", [1]),
        ("others", [1, -1]),
        ("others", [1, True]),
        ("facets", []),
        ("facets", {"new": {"value": True, "count": 1}}),
        ("facets", {"new": [{"value": None, "count": 1}]}),
        ("facets", {"new": [{"value": "红", "count": "1"}]}),
        ("matching_items", "9"),
        ("matching_items", None),
    ],
)
def test_garbled_attributes_are_a_bad_reply(name: str, value: object) -> None:
    body = json.dumps(REPLY | {name: value}).encode()
    with pytest.raises(BadReply):
        wire.search("裙", 2).read(Reply(200, body), "http://service")


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"items": [{"item_id": None}]},
        {"items": [{"item_id": 1}] * 3},
        {"items": [{"item_id": 1, "attributes": []}]},
        {"items": [], "next": 0.5},
    ],
)
def test_a_garbled_list_of_items_is_a_bad_reply(reply: dict[str, object]) -> None:
    with pytest.raises(BadReply):
        wire.items(None, (), 2).read(Reply(200, json.dumps(reply).encode()), "http://service")


def test_a_batch_with_fields_is_split_earlier() -> None:
    calls = wire.search_batches(["裙"] * 30, 1000, {"fields": ["title", "price"]})
    bodies = [json.loads(call.body or b"") for call in calls]
    assert [len(body["queries"]) for body in bodies] == [10, 10, 10]


@pytest.mark.parametrize(
    "result", [{"problem": None}, {"problem": {"code": "a"}}, {"problem": {"status": "4"}}, {}]
)
def test_a_garbled_outcome_is_a_bad_reply(result: dict[str, object]) -> None:
    [call] = wire.search_batches(["裙"], 5, partial=True)
    body = json.dumps({"results": [result], "index_version": "v1"}).encode()
    with pytest.raises(BadReply):
        call.read(Reply(200, body), "http://service")


def test_a_key_without_the_scope_of_a_call_says_which_it_lacks() -> None:
    problem = {
        "status": 403,
        "code": "forbidden",
        "detail": "The API key has other scopes than this call needs; see errors.",
        "errors": [
            {
                "loc": ["header", "Authorization"],
                "type": "scope",
                "detail": "Needs the scope admin.",
            }
        ],
    }
    with pytest.raises(ServiceError, match=r"Needs the scope admin\..* key file") as error:
        wire.models().read(Reply(403, json.dumps(problem).encode()), "http://service")
    assert (error.value.code, error.value.transient) == ("forbidden", False)


def test_a_refusal_says_what_is_wrong_with_the_request() -> None:
    detail = "A value has the wrong type, range or name; see errors."
    error = {"loc": ["body", "top_k"], "type": "greater", "detail": "Input should be above 0"}
    problem = {"status": 422, "code": "invalid_request", "detail": detail, "errors": [error] * 2}
    with pytest.raises(ServiceError) as caught:
        wire.models().read(Reply(422, json.dumps(problem).encode()), "http://service")
    assert caught.value.detail == detail
    assert str(caught.value) == (
        "http://service answered: A value has the wrong type, range or name "
        "(top_k: Input should be above 0, and 1 more)."
    )


@pytest.mark.parametrize("body", ["{}", '{"data": [5]}', '{"data": [{"id": 5}]}', "[]"])
def test_a_garbled_list_of_models_is_a_bad_reply(body: str) -> None:
    with pytest.raises(BadReply):
        wire.models().read(Reply(200, body.encode()), "http://service")


def test_every_field_of_a_batch() -> None:
    options = {"offset": 5, "exclude": [1, "2"], "interpret": False, "index_version": "v1"}
    [call] = wire.search_batches(["不带拉链的包"], 5, options)  # type: ignore[arg-type]
    assert json.loads(call.body or b"") == {"queries": ["不带拉链的包"], "top_k": 5, **options}
    result = GOOD | {"interpreted": {"positive": "包", "negative": "拉链"}}
    body = {"results": [result], "index_version": "v", "version_changed": True}
    [hits] = call.read(Reply(200, json.dumps(body).encode()), "http://service")
    assert (hits.positive, hits.negative, hits.version_changed) == ("包", "拉链", True)


def test_images_are_sent_16_or_16_mib_at_once() -> None:
    def sizes(images: list[bytes]) -> list[int]:
        return [len(json.loads(call.body or b"")["input"]) for call in wire.embed_images(images)]

    assert sizes([b"x"] * 35) == [16, 16, 3]
    assert sizes([b"x" * 8 * 2**20] * 3) == [1, 1, 1]
    assert sizes([]) == []


@pytest.mark.parametrize("embedding", [None, "", "AAA=", "AADAfw==", "裙", [0.5]])
def test_a_wrong_embedding_is_an_error(embedding: object) -> None:
    [call] = wire.embed_texts(["裙"])
    body = json.dumps({"data": [{"embedding": embedding}], "model": "m"}).encode()
    with pytest.raises(BadReply):
        call.read(Reply(200, body), "http://service")


GOOD = {"item_ids": [1, 2], "scores": [0.5, 0.4], "truncated": False, "index_version": "v"}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"item_ids": None}, id="no-ids"),
        pytest.param({"item_ids": [1, 1.5]}, id="float-id"),
        pytest.param({"item_ids": [1, True]}, id="bool-id"),
        pytest.param({"item_ids": [1, 1]}, id="same-id-twice"),
        pytest.param({"item_ids": ["a", "\ud800"]}, id="half-a-character"),
        pytest.param({"item_ids": [1, 2, 3], "scores": [0.5, 0.4, 0.3]}, id="too-many"),
        pytest.param({"scores": [0.5]}, id="fewer-scores"),
        pytest.param({"scores": [0.5, "0.4"]}, id="text-score"),
        pytest.param({"scores": [0.5, 10**400]}, id="huge-score"),
        pytest.param({"truncated": "no"}, id="truncated"),
        pytest.param({"index_version": None}, id="no-version"),
    ],
)
def test_a_wrong_answer_is_an_error(server, service, faults, wrong: dict[str, object]) -> None:
    service.faults = [faults.reply(200, json.dumps(GOOD | wrong).encode())]
    with pytest.raises(BadReply, match="did not answer as a Tusou service does"):
        send_blocking(server.url, "search", "裙", 2, policy=RetryPolicy(tries=1))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"index_version": "v"}', id="no-results"),
        pytest.param(b'{"index_version": "v", "results": []}', id="too-few-results"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_a_wrong_batch_answer_is_an_error(server, service, faults, body: bytes) -> None:
    service.faults = [faults.reply(200, body)]
    with pytest.raises(BadReply):
        send_blocking(server.url, "search_batch", ["裙"], policy=RetryPolicy(tries=1))


def test_a_reply_without_end_is_cut_off(
    send: Send, server, service, faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MAX_REPLY_BYTES", 1000)
    service.faults = [faults.reply(200, b" " * 1001)]
    with pytest.raises(BadReply, match="more than 1000 bytes"):
        send(server.url, "search", "裙", policy=RetryPolicy(tries=1))
