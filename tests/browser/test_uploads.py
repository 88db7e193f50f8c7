"""Uploaded images: prepared in the same way from any file, kept by a reload; no addresses."""

import base64
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.pages import STARTED, RequestRecord, result_ids, search, wait_until
from tests.browser.serving import Site

CASES = Path(__file__).parents[1] / "cases"
UPRIGHT = "upright-reference.png"
NAMES = [UPRIGHT, "exif-orientation-6.jpg", "transparent-background-becomes-black.png"]
QUERY = "红色碎花吊带裙"

_EVENT = """([kind, type, text]) => {
  const transfer = new DataTransfer();
  transfer.setData(type, text);
  const options = { bubbles: true, cancelable: true };
  if (kind === "paste") {
    const event = new ClipboardEvent("paste", { clipboardData: transfer, ...options });
    document.getElementById("query").dispatchEvent(event);
  } else {
    const event = new DragEvent("drop", { dataTransfer: transfer, ...options });
    document.body.dispatchEvent(event);
  }
}"""


def enlarged(data: bytes) -> bytes:
    """Return the image at 14 times its size, which the page must shrink."""
    with Image.open(BytesIO(data)) as image:
        large = image.resize((image.width * 14, image.height * 14), Image.Resampling.BICUBIC)
        out = BytesIO()
        large.save(out, image.format, exif=image.getexif())
    return out.getvalue()


def upload(page: Page, name: str, data: bytes) -> list[str]:
    kind = Path(name).suffix.replace(".", "image/").replace("jpg", "jpeg")
    with page.expect_response("**/search"):
        page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": data})
    return result_ids(page, 24)[:5]


def sent(record: RequestRecord) -> Image.Image:
    encoded = str(record.searches[-1]["image"])
    image = Image.open(BytesIO(base64.b64decode(encoded)))
    assert not image.getexif()
    return image.convert("RGB")


@pytest.mark.parametrize("name", NAMES)
def test_one_image_is_searched_alike_small_and_large(
    page: Page, record: RequestRecord, name: str
) -> None:
    data = (CASES / name).read_bytes()
    small, small_image = upload(page, name, data), sent(record)
    large, large_image = upload(page, name, enlarged(data)), sent(record)
    assert small == large
    assert (small_image.size, large_image.size) == ((200, 300), (683, 1024))
    for image in (small_image, large_image):
        corner = image.getpixel((1, 1))
        assert isinstance(corner, tuple)
        assert min(corner) > 250  # white
    assert upload(page, UPRIGHT, (CASES / UPRIGHT).read_bytes()) == small


def test_an_uploaded_image_survives_a_reload_and_the_back_button(
    page: Page, record: RequestRecord, site: Site
) -> None:
    ids = upload(page, UPRIGHT, (CASES / UPRIGHT).read_bytes())
    image = record.searches[-1]["image"]
    page.reload()
    wait_until(page, STARTED)
    assert result_ids(page, 24)[:5] == ids
    assert record.searches[-1]["image"] == image
    thumb = page.locator(".chip.image img")
    wait_until(page, "() => document.querySelector('.chip.image img').naturalWidth > 0")
    search(page, "蓝色")
    page.wait_for_url("**/?q=*image=1")
    page.locator(".chip.image button").click()
    expect(thumb).to_have_count(0)
    result_ids(page, 24)
    page.reload()  # what is before it in the history is in no memory of the page any more
    wait_until(page, STARTED)
    result_ids(page, 24)
    page.go_back()
    expect(thumb).to_be_visible()
    page.go_back()
    expect(page.locator("#query")).to_have_value("")
    assert result_ids(page, 24)[:5] == ids
    assert (
        page.locator("#notices").inner_text() == "上传的图片仅在本页有效，分享链接时不会包含图片。"
    )


@pytest.mark.parametrize(
    ("kind", "data_type"),
    [("paste", "text/plain"), ("drop", "text/uri-list")],
    ids=["paste", "drop"],
)
def test_an_address_in_the_place_of_an_image_is_told(
    page: Page, record: RequestRecord, kind: str, data_type: str
) -> None:
    page.evaluate(_EVENT, [kind, data_type, "https://shop.example/a.jpg"])
    expect(page.get_by_role("alert")).to_contain_text("请复制图片本身后粘贴")
    assert page.input_value("#query") == ""
    assert record.searches == []


def test_a_typed_address_is_told_and_words_are_pasted(page: Page, record: RequestRecord) -> None:
    search(page, "https://shop.example/a.jpg")
    expect(page.get_by_role("alert")).to_contain_text("这是网址")
    assert record.searches == []
    assert page.evaluate(
        """() => {
          const clipboardData = new DataTransfer();
          clipboardData.setData("text/plain", "红色 https 裙");
          const options = { clipboardData, bubbles: true, cancelable: true };
          const event = new ClipboardEvent("paste", options);
          return document.getElementById("query").dispatchEvent(event);
        }"""
    )  # true: the browser pastes it


def test_the_address_of_an_items_image_searches_with_the_item(page: Page, site: Site) -> None:
    item_id = site.ids(QUERY)[0]
    address = f"{site.url}/items/{item_id}/image"
    page.evaluate(_EVENT, ["drop", "text/uri-list", address])
    page.wait_for_url(f"**/?like={item_id}")


def test_the_image_of_an_item_finds_the_item(page: Page, site: Site) -> None:
    item_id = site.ids(QUERY)[4]
    with urlopen(f"{site.url}/items/{item_id}/image") as response:
        assert upload(page, "x.jpg", response.read())[0] == item_id
