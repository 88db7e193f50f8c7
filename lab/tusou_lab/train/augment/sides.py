"""Texts that say left or right, which a mirrored image would contradict."""

import re

# 左 and 右 alone, in any compound (左侧, 右边, 靠左, 单右手), and in English. 左右 is both sides or
# "about", and 左旋 and 右旋 are chemistry: a mirrored image is as correct for them.
_SIDE = re.compile(
    r"左(?![右旋])|(?<!左)右(?!旋)|\b(?:left|right)(?:[- ]?hand(?:ed)?)?\b", re.IGNORECASE
)


def names_side(text: str) -> bool:
    """Return whether a text says left or right."""
    return _SIDE.search(text) is not None
