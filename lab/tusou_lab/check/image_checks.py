"""What is wrong with pictures: unusable, misnamed, of odd shape, there twice."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tusou.core.ids import Failure
from tusou_lab.check.findings import Code, Findings
from tusou_lab.check.image_scan import Picture

# Reasons that mean a picture made to harm, or one that no shop needs.
_BOMB = re.compile("picture (over|side over|needs too much|crashes)")
_SMALL = 16  # pixels of the shorter side
_LONG = 5.0  # times longer than wide, or wider than long
_ENDINGS = {"JPEG": {".jpg", ".jpeg", ".jfif"}, "PNG": {".png"}, "WEBP": {".webp"}}
_NOT_A_PICTURE = {".tsv", ".tar", ""}  # one file holds many
_COMMON = 12


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """Numbers of a split's pictures."""

    rows: int
    usable: int
    formats: dict[str, int]
    modes: dict[str, int]
    sizes: dict[str, int]  # `224x224` -> pictures, the most frequent
    sides: dict[int, int]  # the longer side, in powers of two -> pictures
    kilobytes: dict[int, int]  # size of the file, in powers of two -> pictures


def check_pictures(
    split: str,
    pictures: Sequence[Picture],
    failures: Sequence[Failure],
    first: int,
    findings: Findings,
) -> PictureFacts:
    """Add what is wrong with a split's pictures; `first` is the position of the first of them."""
    _unusable(split, failures, findings)
    _odd(split, pictures, first, findings)
    looks = [picture.looks for picture in pictures]
    return PictureFacts(
        rows=len(pictures) + len(failures),
        usable=len(pictures),
        formats=_counted(one.form for one in looks),
        modes=_counted(one.mode for one in looks),
        sizes=dict(list(_counted(f"{one.width}x{one.height}" for one in looks).items())[:_COMMON]),
        sides=_powers(max(one.width, one.height) for one in looks),
        kilobytes=_powers(max(1, picture.row.length // 1024) for picture in pictures),
    )


def _unusable(split: str, failures: Sequence[Failure], findings: Findings) -> None:
    kinds: dict[tuple[Code, str], list[str]] = {}
    for one in sorted(failures, key=lambda one: one.line):
        at = f"{one.file} " if one.file else f"line {one.line}"
        where = f"{at.strip()}{'' if one.item_id is None else f': {one.item_id}'}"
        kinds.setdefault((_code(one.reason), one.reason), []).append(where)
    for (code, reason), shown in kinds.items():
        findings.add("error", code, split, shown, reason)


def _code(reason: str) -> Code:
    if reason == "duplicate id":
        return "repeated_ids"
    return "bombs" if _BOMB.match(reason) else "unusable_pictures"


def _odd(split: str, pictures: Sequence[Picture], first: int, findings: Findings) -> None:
    named, shapes, small = [], [], []
    for place, picture in enumerate(pictures):
        looks, suffix = picture.looks, picture.path.suffix.lower()
        if suffix not in _NOT_A_PICTURE and suffix not in _ENDINGS.get(looks.form, {suffix}):
            named.append((place, f"{picture.path.name} is {looks.form}"))
        short, long = sorted((looks.width, looks.height))
        told = f"{picture.row.item_id}: {looks.width} x {looks.height}"
        if long > _LONG * short:
            shapes.append((place, told))
        elif short < _SMALL:
            small.append((place, told))
    kinds: tuple[tuple[Code, list[tuple[int, str]], str], ...] = (
        ("wrong_endings", named, "files whose ending names another format"),
        (
            "extreme_shapes",
            shapes,
            f"pictures with one side over {_LONG:g} times the other",
        ),
        ("tiny_pictures", small, f"pictures with a side under {_SMALL} pixels"),
    )
    for code, found, said in kinds:
        shown = [told for _, told in found]
        positions = [first + place for place, _ in found]
        findings.add("warning", code, split, shown, said, pictures=positions)


def tell_doubles(
    pictures: Sequence[Picture],
    same: Sequence[Sequence[int]],
    near: Sequence[Sequence[int]],
    findings: Findings,
) -> None:
    """Tell of groups of equal pictures that lie within one split."""
    kinds: tuple[tuple[Code, Sequence[Sequence[int]], str], ...] = (
        ("same_bytes", same, "copies of another picture of their split"),
        ("near_duplicates", near, "pictures that look like another one of their split"),
    )
    for code, groups, said in kinds:
        within: dict[str, list[list[int]]] = {}
        for group in groups:
            parts: dict[str, list[int]] = {}
            for place in group:
                parts.setdefault(pictures[place].split, []).append(place)
            for split, part in parts.items():
                if len(part) > 1:
                    within.setdefault(split, []).append(part)
        for split, found in within.items():
            shown = [" = ".join(pictures[one].row.item_id for one in part[:4]) for part in found]
            count = sum(len(part) - 1 for part in found)
            positions = [place for part in found for place in part[:2]]
            findings.add("warning", code, split, shown, said, count=count, pictures=positions)


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _powers(values: Iterable[int]) -> dict[int, int]:
    counts = Counter(1 << (value.bit_length() - 1) for value in values)
    return dict(sorted(counts.items()))
