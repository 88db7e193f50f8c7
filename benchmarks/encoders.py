"""Stock cn_clip beside our towers: a random ViT-B/16 in its own format, alternating, medians.

python -m benchmarks.encoders
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cn_clip.clip
import numpy as np
import torch
from cn_clip.clip import tokenize
from cn_clip.clip.model import CLIP, convert_weights
from cn_clip.clip.utils import image_transform
from PIL import Image

from benchmarks.record import record
from tusou.encoders import (
    ImageEncoder,
    TextEncoder,
    find_weights,
    load_image_encoder,
    load_text_encoder,
)
from tusou.images import open_image, to_pixels
from tusou.types import Pixels, Vectors

TEXT_BATCHES = (1, 8, 32)
PICTURE_BATCHES = (1, 32)
PRECISIONS = ("fp32", "bf16")
CHARACTERS = "红色碎花吊带裙北欧轻奢边几男士黑皮鞋女童连衣夏季新款宽松显瘦纯棉复古法式"

Work = Callable[[], Vectors]


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vit-b-16.pt")
        stock = random_model(path)
        figures = measure_texts(stock, path, rounds) | measure_pictures(stock, path, rounds)
    record("encoders", {"cores used by torch": torch.get_num_threads(), **figures})


def random_model(path: Path) -> CLIP:
    """Save a random ViT-B/16 as cn_clip's training does, and return it ready for a CPU."""
    configs = Path(cn_clip.clip.__file__).parent / "model_configs"
    names = ("ViT-B-16.json", "RoBERTa-wwm-ext-base-chinese.json")
    vision, text = (json.loads((configs / name).read_text()) for name in names)
    torch.manual_seed(0)
    model = CLIP(**vision, **text)
    convert_weights(model)
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 1, "step": 1, "name": "random", "state_dict": state}, path)
    return model.float().eval()


def measure_texts(stock: CLIP, path: Path, rounds: int) -> dict[str, object]:
    """Encode queries of 2 to 20 characters, 7 on average, tokenising included."""
    dice = np.random.default_rng(0)
    lengths = np.clip(dice.poisson(7, max(TEXT_BATCHES)), 2, 20)
    queries = ["".join(dice.choice(list(CHARACTERS), length)) for length in lengths]
    weights = find_weights(str(path))
    ours = {p: load_text_encoder(weights, "cpu", precision=p) for p in PRECISIONS}
    figures: dict[str, object] = {}
    for batch in TEXT_BATCHES:
        texts = queries[:batch]
        ways: dict[str, Work] = {"stock": partial(stock_texts, stock, texts)}
        ways |= {name: partial(our_texts, encoder, texts) for name, encoder in ours.items()}
        figures[f"text, batch {batch}"] = compare(ways, batch, rounds)
    return figures


def measure_pictures(stock: CLIP, path: Path, rounds: int) -> dict[str, object]:
    """Decode, resize and encode JPEG pictures of 224 px, in one process."""
    dice = np.random.default_rng(1)
    files = [
        jpeg(dice.integers(0, 256, (14, 14, 3), np.uint8)) for _ in range(max(PICTURE_BATCHES))
    ]
    weights = find_weights(str(path))
    ours = {p: load_image_encoder(weights, "cpu", p) for p in PRECISIONS}
    figures: dict[str, object] = {}
    for batch in PICTURE_BATCHES:
        some = files[:batch]
        ways: dict[str, Work] = {"stock": partial(stock_pictures, stock, some)}
        ways |= {name: partial(our_pictures, encoder, some) for name, encoder in ours.items()}
        figures[f"pictures, batch {batch}"] = compare(ways, batch, rounds)
    return figures


@torch.inference_mode()
def stock_texts(model: CLIP, texts: list[str]) -> Vectors:
    """Encode as cn_clip's examples do."""
    features: Vectors = torch.nn.functional.normalize(model.encode_text(tokenize(texts))).numpy()
    return features


@torch.inference_mode()
def stock_pictures(model: CLIP, files: list[bytes]) -> Vectors:
    """Encode as cn_clip's examples do, one picture decoded after the other."""
    transform = image_transform(224)
    batch = torch.stack([transform(Image.open(io.BytesIO(data))) for data in files])
    features: Vectors = torch.nn.functional.normalize(model.encode_image(batch)).numpy()
    return features


def our_texts(encoder: TextEncoder, texts: list[str]) -> Vectors:
    """Tokenise and encode."""
    return encoder.encode(encoder.prepare(texts))


def our_pictures(encoder: ImageEncoder, files: list[bytes]) -> Vectors:
    """Decode, resize and encode."""
    size = encoder.image_size
    return encoder.encode(np.stack([to_pixels(open_image(data), size) for data in files]))


def jpeg(colours: Pixels) -> bytes:
    """Enlarge a few colours to a picture of 224 px."""
    buffer = io.BytesIO()
    Image.fromarray(colours).resize((224, 224), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


def compare(ways: dict[str, Work], batch: int, rounds: int) -> dict[str, object]:
    """Time every way once a round; processor time tells more where other work is running."""
    expected = ways["stock"]()
    wall: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            started = time.perf_counter(), time.process_time()
            work()
            wall[name].append(time.perf_counter() - started[0])
            processor[name].append(time.process_time() - started[1])
    each = {name: statistics.median(times) / batch * 1000 for name, times in wall.items()}
    busy = {name: statistics.median(times) / batch * 1000 for name, times in processor.items()}
    return {
        name: {
            "ms each": round(each[name], 2),
            "processor ms each": round(busy[name], 2),
            "times stock": round(each["stock"] / each[name], 1),
            "times stock by processor time": round(busy["stock"] / busy[name], 1),
            "lowest cosine": round(float((work() * expected).sum(axis=1).min()), 7),
        }
        for name, work in ways.items()
    }


if __name__ == "__main__":
    main()
