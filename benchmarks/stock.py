"""Stock cn_clip as a baseline, and inputs of realistic sizes."""

import io
import json
from pathlib import Path

import cn_clip.clip
import numpy as np
import torch
from cn_clip.clip import tokenize
from cn_clip.clip.model import CLIP, convert_weights
from cn_clip.clip.utils import image_transform
from PIL import Image

from tusou.core.arrays import Vectors

_CHARACTERS = "红色碎花吊带裙北欧轻奢边几男士黑皮鞋女童连衣夏季新款宽松显瘦纯棉复古法式"


def save_random_model(path: Path, *, spread: bool = False) -> None:
    """Save a random ViT-B/16 as cn_clip's training does: speed does not depend on the weights.

    All texts get nearly the same vector, unless `spread` scales the weights.
    """
    torch.manual_seed(0)
    model = CLIP(**_config())
    for name, weights in model.named_parameters() if spread else ():
        if weights.ndim > 1 and "embedding" not in name:
            weights.data.mul_(1.2 / (weights.data.std() * weights[0].numel() ** 0.5))
    convert_weights(model)
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 1, "step": 1, "name": "random", "state_dict": state}, path)


def load_stock(path: str | Path) -> CLIP:
    """Load a ViT-B/16 as cn_clip does on a CPU: float32, dropout off."""
    loaded = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    model = CLIP(**_config())
    model.load_state_dict({name.removeprefix("module."): tensor for name, tensor in loaded.items()})
    return model.float().eval()


def _config() -> dict[str, object]:
    configs = Path(cn_clip.clip.__file__).parent / "model_configs"
    names = ("ViT-B-16.json", "RoBERTa-wwm-ext-base-chinese.json")
    vision, text = (json.loads((configs / name).read_text()) for name in names)
    return {**vision, **text}


def queries(count: int) -> list[str]:
    """Draw texts of 2 to 18 characters, 6 on average: with [CLS] and [SEP], 8 tokens."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.poisson(6, count), 2, 18)
    return ["".join(rng.choice(list(_CHARACTERS), length)) for length in lengths]


def jpegs(count: int, side: int) -> list[bytes]:
    """Draw smooth JPEG images with sides of `side` pixels."""
    rng = np.random.default_rng(1)
    files = []
    for _ in range(count):
        colours = Image.fromarray(rng.integers(0, 256, (14, 14, 3), np.uint8))
        buffer = io.BytesIO()
        colours.resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG")
        files.append(buffer.getvalue())
    return files


def structured(count: int, dim: int, seed: int) -> Vectors:
    """Draw unit vectors that resemble embeddings: one cone, clusters, few strong directions."""
    rng, space = np.random.default_rng(seed), StructuredSpace(dim)
    vectors = np.empty((count, dim), np.float32)
    for start in range(0, count, 50_000):
        rows = slice(start, min(start + 50_000, count))
        size = rows.stop - rows.start
        inner = space.centres[rng.integers(0, 1000, size)] + 0.5 * rng.normal(size=(size, 64))
        vectors[rows] = space.cone + inner @ space.axes + 0.15 * rng.normal(size=(size, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


class StructuredSpace:
    """The cone, cluster centres and axes that all structured vectors share."""

    def __init__(self, dim: int) -> None:
        shape = np.random.default_rng(7)
        self.axes = shape.normal(size=(64, dim)) / np.sqrt(1 + np.arange(64))[:, None]
        self.centres, self.cone = shape.normal(size=(1000, 64)), shape.normal(size=dim)


@torch.inference_mode()
def stock_texts(model: CLIP, texts: list[str]) -> Vectors:
    """Encode as cn_clip's examples do."""
    features: Vectors = torch.nn.functional.normalize(model.encode_text(tokenize(texts))).numpy()
    return features


@torch.inference_mode()
def stock_images(model: CLIP, files: list[bytes]) -> Vectors:
    """Encode as cn_clip's examples do, one image decoded after the other."""
    transform = image_transform(224)
    batch = torch.stack([transform(Image.open(io.BytesIO(data))) for data in files])
    features: Vectors = torch.nn.functional.normalize(model.encode_image(batch)).numpy()
    return features
