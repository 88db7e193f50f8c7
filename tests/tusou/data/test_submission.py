"""Teddy Cup's tables and zips are read as they were written, and every fault has its line."""

import zipfile
from io import BytesIO

import pytest

from tusou.data.submission import format_teddy_table, read_teddy_table, unzip, zip_rows

FIVE = [f"Image{n}.jpg" for n in range(5)]


def test_the_table_of_each_direction() -> None:
    assert format_teddy_table([("Word-1", FIVE)], "text_to_image").decode() == (
        "text_id,similarity_ranking,result_image_id\n"
        "Word-1,1,Image0.jpg\nWord-1,2,Image1.jpg\nWord-1,3,Image2.jpg\n"
        "Word-1,4,Image3.jpg\nWord-1,5,Image4.jpg\n"
    )
    back = format_teddy_table([('a, "b".jpg', ["Word-2"])], "image_to_text").decode()
    assert back == 'image_id,similarity_ranking,result_text_id\n"a, ""b"".jpg",1,Word-2\n'


def test_a_written_table_is_read_back() -> None:
    rows = [("Word-1", FIVE), ("字, 2", FIVE[::-1])]
    data = format_teddy_table(rows, "text_to_image")
    for form in (data, b"\xef\xbb\xbf" + data, data.replace(b"\n", b"\r\n"), data.rstrip()):
        table = read_teddy_table(form)
        assert (table.direction, table.problems) == ("text_to_image", [])
        assert list(table.rankings.items()) == rows
        assert table.lines == {"Word-1": 2, "字, 2": 7}


def test_every_fault_has_its_line() -> None:
    lines = format_teddy_table([("a", FIVE), ("b", FIVE), ("c", FIVE)], "text_to_image").split(
        b"\n"
    )
    lines[2] = lines[2].replace(b",2,", b",3,")
    lines[4] = lines[4].replace(b"Image3", b"Image0")
    lines[7] = b"b,2"
    lines[10] = b"a,6,Image9.jpg"
    lines[12] = b""
    assert read_teddy_table(b"\n".join(lines)).problems == [
        (3, "query a: rank 3 instead of 2"),
        (5, "query a: repeats Image0.jpg"),
        (7, "query b: 3 rows instead of 5"),
        (8, "2 columns instead of 3"),
        (9, "query b: rank 3 instead of 2"),
        (10, "query b: rank 4 instead of 3"),
        (11, "query a again, first on line 2"),
        (12, "query c: 4 rows instead of 5"),
        (13, "0 columns instead of 3"),
        (14, "query c: rank 3 instead of 2"),
        (15, "query c: rank 4 instead of 3"),
        (16, "query c: rank 5 instead of 4"),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"text_id,rank,image_id\n", "the columns must be text_id,similarity_ranking,result_im"),
        ("text_id,similarity_ranking,的".encode("gbk"), "not UTF-8"),
    ],
)
def test_another_table_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_teddy_table(data)


def test_broken_quotes_are_a_fault() -> None:
    table = read_teddy_table(b'text_id,similarity_ranking,result_image_id\na,1,"x" y\n')
    assert table.problems[0][0] == 2
    assert table.problems[0][1].startswith("not CSV")


def test_a_zip_holds_one_file_and_the_same_bytes_give_the_same_zip() -> None:
    assert unzip(zip_rows([b"rows"])) == b"rows\n"
    assert zip_rows([b"rows"]) == zip_rows([b"rows"])
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("b", b"2")
    for data, message in [
        (buffer.getvalue(), "one file, but holds 2"),
        (zip_rows([b"rows"])[:40], "cannot be read"),
    ]:
        with pytest.raises(ValueError, match=message):
            unzip(data)


def test_every_damage_of_a_zip_is_told_in_one_line() -> None:
    whole = bytearray(zip_rows([b"row %d" % number for number in range(300)]))
    messages = []
    for position in range(0, len(whole), 7):
        damaged = whole.copy()
        damaged[position] ^= 0xFF
        try:
            unzip(bytes(damaged))
        except ValueError as error:
            messages.append(str(error))
    for size in range(4, len(whole), 11):
        with pytest.raises(ValueError, match="cannot be read"):
            unzip(bytes(whole[:size]))
    assert len(messages) > 50
    assert not any("\n" in message for message in messages)
