"""The segmenter's dictionary is loaded once, whichever threads need it first."""

import subprocess
import sys

_FIRST_CALLS = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from tusou.text.segmentation import is_word, segment

ready = Barrier(4)

def call(number):
    ready.wait()
    for _ in range(5):
        if number % 2:
            segment("红色碎花连衣裙不带拉链" * 300)
        else:
            assert is_word("卫衣")

with ThreadPoolExecutor(4) as pool:
    list(pool.map(call, range(4)))
"""


def test_several_threads_can_make_the_first_calls() -> None:
    subprocess.run([sys.executable, "-c", _FIRST_CALLS], check=True)
