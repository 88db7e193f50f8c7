"""Queries in other languages than Chinese are told from Chinese ones and from names."""

import pytest

from tusou.text.foreign import foreign_share

FOREIGN = [
    "A dog runs in the snow .",
    "Two men are riding bikes on a mountain trail .",
    "red summer dress with flowers",
    "Un chien court dans la neige",
    "Ein Hund rennt durch den Schnee",
    "vestido rojo de verano con flores",
    "Собака бежит по снегу",
    "كلب يركض في الثلج",
    "犬が雪の中を走っている",
    "赤い花柄のワンピース",
    "二人の男性が自転車に乗っている",
    "개가 눈 속을 달린다",
    "สุนัขวิ่งในหิมะ",
    "एक कुत्ता बर्फ में दौड़ रहा है",
    "Một con chó chạy trong tuyết",
    "Ένας σκύλος τρέχει στο χιόνι",
    "כלב רץ בשלג",
    "Karda koşan bir köpek",
]

CHINESE = [
    "纯棉碎花吊带裙",
    "圣诞 抱枕",
    "the north face 冲锋衣",
    "nike",
    "the north face",
    "massimo lunardon",
    "harmont&blaine",
    "iphone 15 pro max",
    "g4a 1a pe",
    "nf0a4u5p",
    "s.w.a.t",
    "Ｈy1707",
    "碟机ＡＢＣＤ键",
    "ds2y-s-dc12Ⅴ",
    "優の良品 の",
    "café 咖啡杯",
    "α7m4 相机包",
    "5.5寸 手机",
    "2024",
    "🔥🔥",
    "",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_another_language_is_told(text: str) -> None:
    assert foreign_share(text) >= 0.5


@pytest.mark.parametrize("text", CHINESE)
def test_chinese_and_names_are_not(text: str) -> None:
    assert foreign_share(text) < 0.5


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("韩国民谣 노들강가", 0.5),  # four letters of eight
        ("红色платье", 0.75),
        ("红色 α", 1 / 3),
        ("红色 dress", 0.0),
        ("红色，裙子！ｘＬ", 0.0),
    ],
)
def test_the_share_is_that_of_letters(text: str, share: float) -> None:
    assert foreign_share(text) == pytest.approx(share)
