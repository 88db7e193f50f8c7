"""DecodePool: decoded pixels, bad images, crashes, and the bounded queue."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from drawing import image_bytes
from PIL import Image
from pillow_heif import register_heif_opener
from tusou_service.images.decode_pool import DecodePool

from tests.tusou_service.tiny import TinySource, running
from tusou.core.errors import BadImage, DeadlineExceeded, NotReady, Overloaded, Unavailable
from tusou.images.formats import content_type
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import ImageTransform

SIZE = 32
CASES = Path(__file__).parents[2] / "cases"


@pytest.fixture
def crashes() -> list[int]:
    return []


@pytest.fixture
def decoders(crashes: list[int]) -> Iterator[DecodePool]:
    pool = DecodePool(1, 4, lambda: crashes.append(1))
    yield pool
    pool.close()


def pid_of(decoders: DecodePool) -> int:
    (process,) = decoders._workers._idle
    return process._process.pid


async def decode(decoders: DecodePool, image: bytes | str, side: int = SIZE) -> np.ndarray:
    return await decoders.decode(
        image, ImageTransform(side), asyncio.get_running_loop().time() + 60
    )


async def good(decoders: DecodePool, seed: int = 1) -> None:
    expected = to_pixels(open_image(image_bytes(seed)), ImageTransform(SIZE))
    np.testing.assert_array_equal(await decode(decoders, image_bytes(seed)), expected)


async def test_pixels_are_those_of_the_indexer(decoders: DecodePool) -> None:
    for seed in range(3):
        await good(decoders, seed)


async def test_no_process_runs_before_the_first_image(decoders: DecodePool) -> None:
    assert decoders._workers._idle == []
    await good(decoders)
    first = pid_of(decoders)
    await good(decoders)
    assert pid_of(decoders) == first


async def test_a_process_that_cannot_start_makes_the_service_unavailable(
    decoders: DecodePool, crashes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patched:
        patched.setattr("subprocess.Popen", refuse)
        with pytest.raises(Unavailable):
            await decode(decoders, image_bytes(1))
    await good(decoders)
    assert crashes == []


async def test_a_bad_image_does_not_end_the_process(
    decoders: DecodePool, crashes: list[int]
) -> None:
    await good(decoders)
    first = pid_of(decoders)
    for image, message in [(b"", "empty image"), ("!", "bad base64"), (b"no", "not a readable")]:
        with pytest.raises(BadImage, match=message):
            await decode(decoders, image)
    assert (pid_of(decoders), crashes) == (first, [])


async def test_the_largest_images_fit(decoders: DecodePool) -> None:
    out = io.BytesIO()
    Image.new("CMYK", (7990, 7990), (200, 30, 90, 120)).save(out, "JPEG", progressive=True)
    assert (await decode(decoders, out.getvalue())).shape == (SIZE, SIZE, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS refuses to set the limit")
async def test_an_image_that_fills_the_memory_is_a_bad_one(
    decoders: DecodePool, crashes: list[int]
) -> None:
    with pytest.raises(BadImage):  # 64 GB of pixels: no file is needed to ask for them
        await decode(decoders, image_bytes(1), 150_000)
    await good(decoders)
    assert crashes == []


async def test_a_process_that_is_killed_costs_no_request(
    decoders: DecodePool, crashes: list[int]
) -> None:
    await good(decoders)
    first = pid_of(decoders)
    os.kill(first, signal.SIGSTOP)  # as a decoder that never ends
    stuck = asyncio.create_task(decode(decoders, image_bytes(1)))
    waiting = asyncio.create_task(decode(decoders, image_bytes(2)))
    while decoders._workers._idle:  # noqa: ASYNC110 - the thread says nothing when it has begun
        await asyncio.sleep(0.005)
    os.kill(first, signal.SIGKILL)
    np.testing.assert_array_equal(
        await stuck, to_pixels(open_image(image_bytes(1)), ImageTransform(SIZE))
    )
    np.testing.assert_array_equal(
        await waiting, to_pixels(open_image(image_bytes(2)), ImageTransform(SIZE))
    )
    assert len(crashes) == 1
    assert pid_of(decoders) != first


async def test_a_process_is_ended_at_the_deadline_of_its_request(
    decoders: DecodePool, crashes: list[int]
) -> None:
    await good(decoders)
    os.kill(pid_of(decoders), signal.SIGSTOP)
    with pytest.raises(DeadlineExceeded):
        await decoders.decode(
            image_bytes(1), ImageTransform(SIZE), asyncio.get_running_loop().time() + 0.1
        )
    await good(decoders)
    assert len(crashes) == 1


async def test_images_are_upright_and_on_white(decoders: DecodePool) -> None:
    reference = await decode(decoders, (CASES / "upright-reference.png").read_bytes())
    for name in ("exif-orientation-6.jpg", "transparent-background-becomes-black.png"):
        prepared = await decode(decoders, (CASES / name).read_bytes())
        assert abs(prepared.astype(int) - reference).mean() < 4


async def test_a_process_that_died_while_idle_costs_no_image(
    decoders: DecodePool, crashes: list[int]
) -> None:
    await good(decoders)
    os.kill(pid_of(decoders), signal.SIGKILL)
    decoders._workers._idle[0]._process.wait()
    await good(decoders)
    assert crashes == []


async def test_the_queue_is_bounded(decoders: DecodePool) -> None:
    await good(decoders)
    os.kill(pid_of(decoders), signal.SIGSTOP)
    pid = pid_of(decoders)
    tasks = [asyncio.create_task(decode(decoders, image_bytes(1))) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await decode(decoders, image_bytes(1))
    os.kill(pid, signal.SIGCONT)
    assert [one.shape for one in await asyncio.gather(*tasks)] == [(SIZE, SIZE, 3)] * 4


async def test_closing_ends_the_processes(decoders: DecodePool) -> None:
    await good(decoders)
    process = decoders._workers._idle[0]._process
    decoders.close()
    assert process.returncode == -signal.SIGKILL
    with pytest.raises((NotReady, RuntimeError)):
        await decode(decoders, image_bytes(1))


def test_the_death_of_the_service_ends_its_decoders(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, signal\n"
        "from tusou_service.images.decode_pool import DecodePool\n"
        "from tusou.core.errors import BadImage\n"
        "async def main():\n"
        "    pool = DecodePool(1, 4, lambda: None)\n"
        "    try: await pool.decode(b'', 8, asyncio.get_running_loop().time() + 60)\n"
        "    except BadImage: print(pool._workers._idle[0]._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert parent.stdout.read() == ""  # the decoder has its own;
        parent.wait()
    ended = threading.Event()
    for _ in range(1000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":  # without init, an orphan is not reaped
            return
        ended.wait(0.01)
    pytest.fail("the decoder outlives its service")


async def test_texts_are_answered_while_an_image_hangs(source: TinySource) -> None:
    async with (
        running(source, timeout_ms=20_000) as server,
        httpx.AsyncClient(base_url=server.url, timeout=20) as client,
    ):
        headers = {"Content-Type": "image/jpeg"}
        first = await client.post("/search/image", content=image_bytes(1), headers=headers)
        assert first.status_code == 200
        pid = pid_of(server.engine.images._decoders)
        os.kill(pid, signal.SIGSTOP)
        stuck = asyncio.create_task(
            client.post("/search/image", content=image_bytes(1), headers=headers)
        )
        while server.engine.images._decoders._workers._idle:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
        assert (await client.post("/search", json={"query": "裙"})).status_code == 200
        os.kill(pid, signal.SIGKILL)
        assert (await stuck).status_code == 200
        again = await client.post("/search/image", content=image_bytes(1), headers=headers)
        assert again.status_code == 200
        lines = (await client.get("/metrics")).text.splitlines()
        assert "tusou_lost_decoders_total 1.0" in lines
        assert "tusou_image_batch_size_sum 3.0" in lines
        assert 'tusou_image_seconds_count{stage="decode"} 3.0' in lines
        assert 'tusou_image_seconds_count{stage="encode"} 3.0' in lines


async def test_images_of_other_formats_are_queries_and_slow_ones_are_refused(
    source: TinySource,
) -> None:
    register_heif_opener()
    scans = image_bytes(1, form="JPEG")
    progressive = io.BytesIO()
    Image.open(io.BytesIO(scans)).save(progressive, "JPEG", progressive=True)
    data = progressive.getvalue()
    slow = data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 20_000 + b"\xff\xd9"
    async with (
        running(source, timeout_ms=20_000) as server,
        httpx.AsyncClient(base_url=server.url, timeout=20) as client,
    ):

        async def search(image: bytes, media_type: str) -> httpx.Response:
            headers = {"Content-Type": media_type}
            return await client.post("/search/image", content=image, headers=headers)

        for form in ("GIF", "BMP", "TIFF", "AVIF", "HEIF"):
            image = image_bytes(1, 64, form)
            assert (await search(image, content_type(image))).status_code == 200
            assert (await search(image, "image/jpeg")).status_code == 200
        refused = await search(slow, "image/jpeg")
        assert (refused.status_code, refused.json()["code"]) == (422, "bad_image")
        assert refused.json()["errors"][0]["detail"] == "JPEG of over 100 scans"
