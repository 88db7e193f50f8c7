"""Build plans: spans, unusable lines, duplicates, shards and matching inputs."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from drawing import image_bytes, image_line
from tusou_indexer.build_inputs import BuildInputs
from tusou_indexer.plan import Plan, make_plan, scan_source

from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.data.formats.image_lines import MAX_LINE_BYTES, open_image_file

GOOD = image_line("1", 1)

BAD_LINES = [
    pytest.param(b"\n", None, "blank line", id="blank"),
    pytest.param(b"  \r\n", None, "blank line", id="spaces"),
    pytest.param(b"5\n", None, "missing column: expected item_id<TAB>base64", id="one-column"),
    pytest.param(b"5 AAAA\n", None, "missing column: expected item_id<TAB>base64", id="no-tab"),
    pytest.param(b"5\t\n", "5", "empty image", id="no-image"),
    pytest.param(b"5\tAAAA\tAAAA\n", "5", "more than two columns", id="three-columns"),
    pytest.param(b"\tAAAA\n", None, "empty id", id="no-id"),
    pytest.param(b"\xff\tAAAA\n", None, "id is not UTF-8", id="binary-id"),
    pytest.param(b"a\x00b\tAAAA\n", None, "id with blanks around it or control characters"),
    pytest.param(b" 5\tAAAA\n", None, "id with blanks around it or control characters"),
    pytest.param(b"5" * 257 + b"\tAAAA\n", None, "id longer than 256 bytes", id="long-id"),
    pytest.param(GOOD, "1", "duplicate id", id="duplicate"),
    pytest.param(
        b"5\t" + b"A" * MAX_LINE_BYTES + b"\n",
        None,
        f"line longer than {MAX_LINE_BYTES} bytes",
        id="long-line",
    ),
]


def inputs(images: Path, **changes: object) -> BuildInputs:
    values: dict[str, object] = {
        "source": str(images),
        "split": None,
        "stamp": "s",
        "model_sha256": "m",
        "device": "cpu",
        "precision": "fp32",
        "backend": "torch",
        "shard_rows": 4,
        "batch_rows": 2,
        "prepare": "none",
        "max_megapixels": 64,
        "libraries": {},
    }
    return BuildInputs(**(values | changes))  # type: ignore[arg-type]


def scan(tmp_path: Path, content: bytes) -> tuple[Plan, Path]:
    images = tmp_path / "imgs.tsv"
    images.write_bytes(content)
    return make_plan(
        tmp_path / "plan", inputs(images), scan_source(open_image_file(images))
    ), images


def stored_images(plan: Plan) -> list[bytes]:
    with ItemReader(plan.paths) as files:
        return [
            decode_stored_image(files.read(*span), plan.source.encoding)
            for _, *span in plan.spans(range(len(plan))).tolist()
        ]


@pytest.mark.parametrize(("line", "item_id", "reason"), BAD_LINES)
def test_an_unusable_line_is_listed_and_its_neighbours_are_used(
    tmp_path: Path, line: bytes, item_id: str | None, reason: str
) -> None:
    plan, _ = scan(tmp_path, GOOD + line + image_line("2", 2))
    assert plan.failures == [Failure(2, item_id, reason)]
    assert list(plan.ids()) == ["1", "2"]
    assert stored_images(plan) == [image_bytes(1), image_bytes(2)]


def test_a_byte_order_mark_and_crlf_are_ignored(tmp_path: Path) -> None:
    crlf = GOOD.replace(b"\n", b"\r\n") + image_line("2", 2).replace(b"\n", b"\r\n")
    plan, _ = scan(tmp_path, b"\xef\xbb\xbf" + crlf)
    assert (list(plan.ids()), plan.failures) == (["1", "2"], [])
    assert stored_images(plan) == [image_bytes(1), image_bytes(2)]


def test_a_last_line_without_a_newline_counts(tmp_path: Path) -> None:
    plan, _ = scan(tmp_path, GOOD + image_line("2", 2).rstrip(b"\n"))
    assert list(plan.ids()) == ["1", "2"]


def test_the_first_of_several_equal_ids_is_used(tmp_path: Path) -> None:
    lines = [image_line(item_id, n) for n, item_id in enumerate("abcab")]
    plan, _ = scan(tmp_path, b"".join(lines))
    assert list(plan.ids()) == ["a", "b", "c"]
    assert plan.spans(range(3))[:, 0].tolist() == [1, 2, 3]
    assert [(bad.line, bad.item_id) for bad in plan.failures] == [(4, "a"), (5, "b")]


def test_the_source_digest_is_that_of_the_file(tmp_path: Path) -> None:
    plan, images = scan(tmp_path, GOOD + b"\n" + b"x" * (MAX_LINE_BYTES + 5) + b"\n" + GOOD)
    assert plan.source.sha256 == hashlib.sha256(images.read_bytes()).hexdigest()


def test_a_file_with_nothing_usable_is_refused_with_reasons(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"no line can be used.*line 2: missing column"):
        scan(tmp_path, b"\nnothing\n")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="is empty"):
        scan(tmp_path, b"")


def test_shards_cover_every_row_once(tmp_path: Path) -> None:
    plan, _ = scan(tmp_path, b"".join(image_line(n, n) for n in range(10)))
    shards = [plan.shard(number) for number in range(plan.shard_count)]
    assert shards == [range(4), range(4, 8), range(8, 10)]
    np.testing.assert_array_equal(plan.spans(shards[2])[:, 0], [9, 10])


def test_only_equal_inputs_share_a_plan(tmp_path: Path) -> None:
    _, images = scan(tmp_path, GOOD)
    folder = tmp_path / "plan"
    assert Plan.matching(folder, inputs(images)) is not None
    assert Plan.matching(folder, inputs(images, model_sha256="other")) is None
    (folder / "plan.json").write_bytes(b"{")
    assert Plan.matching(folder, inputs(images)) is None
