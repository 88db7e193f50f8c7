"""Files for people who check a set: an offline web page, Label Studio tasks, or a table."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from io import StringIO
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.core.errors import BadImage, InvalidRequest, NoImage
from tusou.stages.endpoint_image import to_data_uri
from tusou_lab.evalset.judgment import PairToJudge
from tusou_lab.html_page import open_templates, render_page

TABLE_FIELDS = ("query_id", "item_id", "query", "grade")
_IMAGE_SIDE = 640  # pixels

# One row of a review: what a person sees of a pair, never a grade.
Shown = dict[str, object]


def show_pairs(
    pairs: Sequence[PairToJudge], guidelines: Mapping[int, str], bundle: Bundle
) -> list[Shown]:
    """Return what people see of each pair; one whose image cannot be read is left out."""
    shown: list[Shown] = []
    for each in pairs:
        try:
            data, _ = bundle.image(str(each.pair.item_id))
            image = to_data_uri(data, _IMAGE_SIDE)
        except (BadImage, NoImage):
            continue
        shown.append(
            {
                "query_id": each.query.query_id,
                "item_id": each.pair.item_id,
                "query": each.query.text,
                "guideline": guidelines.get(each.query.query_id, ""),
                "image": image,
            }
        )
    return shown


def write_review(path: Path, shown: Sequence[Shown], title: str, person: str) -> None:
    """Write the file that the suffix of `path` names; InvalidRequest for another."""
    if path.suffix not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise InvalidRequest(f"--out {path}: end the name with one of {known}")
    path.write_bytes(_WRITERS[path.suffix](shown, title, person))


def _format_page(shown: Sequence[Shown], title: str, person: str) -> bytes:
    """Return the page; what a person enters stays in their browser until they save it."""
    keys = json.dumps([(row["query_id"], row["item_id"]) for row in shown])
    key = blake2b(f"{title}\0{person}\0{keys}".encode(), digest_size=8).hexdigest()
    # In a script element only `</` could end the data.
    rows = json.dumps(shown, ensure_ascii=False).replace("</", "<\\/")
    facts = json.dumps({"person": person, "key": key}, ensure_ascii=False).replace("</", "<\\/")
    templates = open_templates("tusou_lab.evalset")
    return render_page(templates, "review.html.jinja", title=title, rows=rows, facts=facts)


def _format_tasks(shown: Sequence[Shown], title: str, person: str) -> bytes:  # noqa: ARG001
    tasks = [{"data": row} for row in shown]
    return json.dumps(tasks, ensure_ascii=False, indent=1).encode()


def _format_table(shown: Sequence[Shown], title: str, person: str) -> bytes:  # noqa: ARG001
    text = StringIO()
    table = csv.DictWriter(text, TABLE_FIELDS, extrasaction="ignore", restval="")
    table.writeheader()
    table.writerows(shown)
    return text.getvalue().encode("utf-8-sig")  # spreadsheets take a file without a mark for GBK


_WRITERS: dict[str, Callable[[Sequence[Shown], str, str], bytes]] = {
    ".html": _format_page,
    ".json": _format_tasks,
    ".csv": _format_table,
}
