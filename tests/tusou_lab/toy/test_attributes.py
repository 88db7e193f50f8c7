"""Attributes of toy items: a row for each image, with what the image shows."""

from pathlib import Path

from tusou_lab.toy.dataset import SplitSize, ToySplitFiles, write_toy

from tusou.data.attribute_file import AttributeFile


def test_every_image_has_attributes_of_every_type(tmp_path: Path) -> None:
    write_toy(tmp_path, [SplitSize("test", 200, 5)], seed=4)
    files = ToySplitFiles.of(tmp_path, "test")
    file = AttributeFile(files.attributes)
    assert (file.schema, file.notices) == (
        {
            "title": "string",
            "category": "string",
            "brand": "string",
            "price": "number",
            "stock": "integer",
            "listed": "date",
            "new": "boolean",
            "tags": "strings",
            "product_id": "string",
        },
        [],
    )
    rows = list(file.rows())
    images = [line.split("\t")[0] for line in files.images.read_text("ascii").splitlines()]
    assert [row.item_id for row in rows] == images
    assert 0 < sum("price" not in row.attributes for row in rows) < 30
    assert len({row.attributes["product_id"] for row in rows}) < 200
    for row in rows:
        title, tags = row.attributes["title"], row.attributes["tags"]
        assert isinstance(tags, list)
        assert title == "".join(tags) + str(row.attributes["category"])
