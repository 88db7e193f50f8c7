"""The process that decodes images for the service: one at a time, from stdin to stdout.

An image that crashes this process, fills its memory or never ends takes nothing else with it.
The service's death closes stdin, which ends it too.
"""

import signal
import struct
import sys
from typing import BinaryIO

from tusou.core.errors import BadImage
from tusou.core.process_limits import limit_memory
from tusou.images.formats import decode_image
from tusou.images.preprocess import open_image, to_pixels

# A request: bytes of the image, side of its pixels, whether it is in base64; then the image.
REQUEST = struct.Struct("<II?")
# A reply: whether it could be decoded, bytes of what follows: RGB pixels, or the reason.
REPLY = struct.Struct("<?I")

# 16 megapixels with transparency are 64 MB, and decoding holds a few such at once.
_MEMORY_BYTES = 768 * 2**20
# Far beyond what the largest image takes; its end by SIGALRM is like a crash.
_LONGEST_SECONDS = 20


def main() -> None:
    """Answer requests until stdin ends."""
    for ending in (signal.SIGINT, signal.SIGTERM):  # sent to a group; the service drains first
        signal.signal(ending, signal.SIG_IGN)
    limit_memory(_MEMORY_BYTES)
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    while head := requests.read(REQUEST.size):
        signal.alarm(_LONGEST_SECONDS)
        good, content = _answer(requests, head)
        signal.alarm(0)
        replies.write(REPLY.pack(good, len(content)) + content)
        replies.flush()


def _answer(requests: BinaryIO, head: bytes) -> tuple[bool, bytes]:
    length, size, is_base64 = REQUEST.unpack(head)
    data = requests.read(length)
    try:
        image = open_image(decode_image(data) if is_base64 else data)
        return True, to_pixels(image, size).tobytes()
    except BadImage as error:
        return False, str(error).encode()
    except MemoryError:
        return False, b"image needs too much memory"


if __name__ == "__main__":
    main()
