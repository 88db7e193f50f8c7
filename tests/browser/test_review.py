"""The page for people who grade: by keyboard, with undo, kept over a reload, saved to a file."""

import json
from pathlib import Path

import pytest
from drawing import image_bytes
from playwright.sync_api import Browser, Page, expect
from tusou_lab.evalset.review_files import write_review

from tusou.stages.endpoint_image import to_data_uri


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Page:
    """Open a page of three images in a fresh browser, as a file, without any network."""
    shown: list[dict[str, object]] = [
        {
            "query_id": number,
            "item_id": f"包-{number}.jpg#zhc#0",
            "query": f"第{number}款<b>红色</b>斜挎包",
            "guideline": "包型和颜色都对的是 3 级。" if number < 3 else "",
            "image": to_data_uri(image_bytes(number, side=400), 400),
        }
        for number in (1, 2, 3)
    ]
    write_review(tmp_path / "review.html", shown, "女包", "李雷")
    context = browser.new_context(offline=True)
    opened = context.new_page()
    opened.goto((tmp_path / "review.html").as_uri())
    return opened


def test_grades_are_given_by_keyboard_taken_back_and_saved(page: Page, tmp_path: Path) -> None:
    expect(page.locator("#query")).to_have_text("第1款<b>红色</b>斜挎包")
    expect(page.locator("#guideline")).to_be_visible()
    page.keyboard.press("3")
    expect(page.locator("#count")).to_have_text("第 2 张，已标 1 / 3")
    page.keyboard.press("0")
    page.keyboard.press("z")
    expect(page.locator("#count")).to_have_text("第 2 张，已标 1 / 3")
    page.keyboard.press("1")
    expect(page.locator("#guideline")).to_be_hidden()
    page.locator("button[data-grade='2']").click()
    expect(page.locator("#state")).to_contain_text("全部标完了")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("button[data-grade='1']")).to_have_attribute("aria-pressed", "true")
    with page.expect_download() as download:
        page.locator("#save").click()
    assert download.value.suggested_filename == "grades-李雷.json"
    saved = json.loads(Path(download.value.path()).read_bytes())
    assert saved == {
        "tusou_review": 1,
        "person": "李雷",
        "grades": [
            {"query_id": number, "item_id": f"包-{number}.jpg#zhc#0", "grade": grade}
            for number, grade in ((1, 3), (2, 1), (3, 2))
        ],
    }


def test_what_was_entered_outlives_a_reload(page: Page) -> None:
    page.keyboard.press("2")
    page.reload()
    expect(page.locator("#count")).to_have_text("第 2 张，已标 1 / 3")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("button[data-grade='2']")).to_have_attribute("aria-pressed", "true")
