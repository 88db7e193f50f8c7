"""The process that runs image jobs, one at a time, from stdin to stdout.

Started by `ImageWorkers` with the job's `module:function` and the limit of memory, in bytes, as
its arguments. It ends when stdin closes, so it does not outlive its parent.
"""

import json
import pickle
import signal
import struct
import sys
from collections.abc import Callable
from importlib import import_module
from typing import BinaryIO, cast

from PIL import AvifImagePlugin

from tusou.core.errors import BadImage
from tusou.core.process_limits import limit_memory

READY = b"\1"  # sent once, when the job is imported
REQUEST = struct.Struct("<I")  # the length of the pickled arguments that follow
REPLY = struct.Struct("<BI")  # a status, and the length of the content that follows
DONE, BAD_IMAGE, FAILED = range(3)  # content: the job's result; a reason; an error as JSON

# Over twice what the largest image takes. The kernel then ends the process by SIGPROF.
MAX_CPU_SECONDS = 10


def main() -> None:
    """Run jobs until stdin ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; the parent decides
        signal.signal(number, signal.SIG_IGN)
    module, _, name = sys.argv[1].partition(":")
    job = cast("Callable[..., bytes]", getattr(import_module(module), name))
    _use_one_thread()
    limit_memory(int(sys.argv[2]))
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    replies.write(READY)
    replies.flush()
    while head := requests.read(REQUEST.size):
        (length,) = REQUEST.unpack(head)
        signal.setitimer(signal.ITIMER_PROF, MAX_CPU_SECONDS)
        status, content = _run(job, requests, length)
        signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(REPLY.pack(status, len(content)) + content)
        replies.flush()


def _use_one_thread() -> None:
    """Keep libraries from starting threads: there are as many processes as cores."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def _run(job: Callable[..., bytes], requests: BinaryIO, length: int) -> tuple[int, bytes]:
    arguments = requests.read(length)
    try:
        return DONE, job(*pickle.loads(arguments))  # noqa: S301 - from the parent process
    except BadImage as error:
        return BAD_IMAGE, str(error).encode()
    except MemoryError:
        return BAD_IMAGE, b"image needs too much memory"
    except OSError as error:
        return FAILED, json.dumps([error.errno, error.strerror, error.filename]).encode()


if __name__ == "__main__":
    main()
