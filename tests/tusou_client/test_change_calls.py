"""Changes of items as they are written and read, and when they are sent again."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from tusou_client import Change, Client, RetryPolicy, ServiceError, change_calls
from tusou_client.change_calls import Operation
from tusou_client.errors import BadReply, TimedOut, Unreachable, UsageError
from tusou_client.wire import Reply

from tests.tusou_client.sending import FAST, Send

DONE = Change(7, "replaced", "e7", "v1+1")


def test_a_change_is_written_as_the_service_reads_it(tmp_path: Path) -> None:
    (tmp_path / "shoe.jpg").write_bytes(b"\xff\xd8")
    content = {"attributes": {"title": "女鞋", "tags": ["春", "夏"]}, "vector": [1.0, 0.0]}
    by_path = change_calls.put_item("鞋/1", {"image": tmp_path / "shoe.jpg", **content}, None)  # type: ignore[typeddict-item]
    by_bytes = change_calls.put_item("鞋/1", {"image": b"\xff\xd8", **content}, None)  # type: ignore[typeddict-item]
    assert by_path.body == by_bytes.body
    assert (by_path.method, by_path.path) == ("PUT", "/items/%E9%9E%8B%2F1")
    body = json.loads(by_path.body or b"")
    assert b64decode(body.pop("vector")) == b"\0\0\x80?\0\0\0\0"
    assert body == {"image": "/9g=", "attributes": {"title": "女鞋", "tags": ["春", "夏"]}}
    patch = change_calls.patch_item(7, {"price": 99, "tags": None}, None)
    assert json.loads(patch.body or b"") == {"attributes": {"price": 99, "tags": None}}
    assert change_calls.delete_item(7, None).body is None


def test_many_changes_are_split_by_number_images_and_size() -> None:
    def sizes(*operations: Operation) -> list[int]:
        calls = change_calls.change_items(operations)
        return [len(json.loads(call.body or b"")["operations"]) for call in calls]

    deletes: list[Operation] = [{"op": "delete", "item_id": n} for n in range(600)]
    assert sizes(*deletes) == [256, 256, 88]
    big: Operation = {"op": "upsert", "item_id": 1, "image": bytes(5 * 2**20)}
    assert sizes(*[big] * 5) == [2, 2, 1]
    long: Operation = {"op": "patch", "item_id": 1, "attributes": {"title": "裙" * 60_000}}
    assert sizes(*[long] * 5) == [2, 2, 1]
    assert sizes() == []


@pytest.mark.parametrize("vector", [["1"], [None], 5])
def test_a_vector_is_a_sequence_of_numbers(vector: Any) -> None:
    with pytest.raises((UsageError, TypeError)):
        change_calls.put_item(1, {"text": "裙", "vector": vector}, None)


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"item_id": 1, "status": "created", "etag": "e"},
        {"item_id": 1, "status": "stored", "etag": "e", "index_version": "v1+1"},
        {"item_id": None, "status": "created", "etag": "e", "index_version": "v1+1"},
        {"item_id": 1, "status": "created", "etag": 5, "index_version": "v1+1"},
    ],
)
def test_a_garbled_outcome_is_a_bad_reply(reply: dict[str, object]) -> None:
    with pytest.raises(BadReply):
        change_calls.delete_item(1, None).read(Reply(200, json.dumps(reply).encode()), "http://s")


@pytest.mark.parametrize("deleted", [None, True, -1, "5"])
def test_a_garbled_count_is_a_bad_reply(deleted: object) -> None:
    body = json.dumps({"deleted": deleted}).encode()
    with pytest.raises(BadReply):
        change_calls.delete_items({"brand": "A"}).read(Reply(200, body), "http://s")


CALLS: dict[str, tuple[object, ...]] = {
    "put_item": (7,),
    "patch_item": (7, {"price": 1}),
    "delete_item": (7,),
    "change_items": ([{"op": "delete", "item_id": 7}],),
}


@pytest.mark.parametrize("method", CALLS)
def test_a_change_is_sent_again_like_a_search(
    send: Send, server, service, faults, method: str
) -> None:
    service.faults = [faults.reset, faults.problem(504, "deadline_exceeded")]
    outcome = send(server.url, method, *CALLS[method])
    assert outcome == ([DONE] if method == "change_items" else DONE)
    assert len(service.posts) == 3


@pytest.mark.parametrize("code", ["overloaded", "storage_full", "rate_limited"])
def test_a_conditional_change_is_sent_again_if_it_was_not_applied(
    server, service, faults, code: str
) -> None:
    service.faults = [faults.problem(429 if code == "rate_limited" else 503, code)]
    with Client(server.url, policy=FAST) as client:
        assert client.delete_item(7, if_match="e7") == DONE
    assert [headers["If-Match"] for _, headers, _ in service.posts] == ['"e7"', '"e7"']


def test_a_conditional_change_of_unknown_outcome_is_left_to_the_caller(
    server, service, faults
) -> None:
    def change(client: Client, kind: str) -> None:
        if kind == "single":
            client.patch_item(7, {"price": 1}, if_match='"e7"')
        else:
            client.change_items([{"op": "delete", "item_id": 7, "if_match": "e7"}])

    policy = RetryPolicy(timeout=0.2, base=0.001)
    for kind in ("single", "batch"):
        for fault, error in (
            (faults.reset, Unreachable),
            (faults.stall, TimedOut),
            (faults.problem(504, "deadline_exceeded"), ServiceError),
            (faults.problem(503, "not_ready"), ServiceError),
        ):
            service.posts.clear()
            service.faults = [fault]
            with Client(server.url, policy=policy) as client, pytest.raises(error):
                change(client, kind)
            assert len(service.posts) == 1


@pytest.mark.parametrize("etag", ["", "红", 'a"b', "a\r\nb"])
def test_an_etag_that_is_no_header_is_refused(server, etag: str) -> None:
    with Client(server.url) as client, pytest.raises(UsageError):
        client.delete_item(7, if_match=etag)
