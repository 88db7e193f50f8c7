"""Training by cn_clip's own script, as a baseline: its `train`, its data and its scheduler.

Its code is installed with cn_clip and runs as it is, except that the main program of the script,
which asks for CUDA and NCCL, is repeated here for one process on a CPU, and that moving a tensor or
a module to CUDA leaves it where it is. It needs `lmdb` and `timm`, which Tusou does not install.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import torch
import torch.distributed as dist
from cn_clip.training.scheduler import cosine_lr
from cn_clip.training.train import get_loss, train
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW
from tusou_lab.convert.run import convert
from tusou_lab.train.models.cn_clip import restore_network

from tusou.cli.progress import NoProgress
from tusou.encoders import find_weights

LR = 1e-5
WEIGHT_DECAY = 0.2

# The defaults of its parameters that a step depends on.
_CONTEXT_LENGTH = 52
_LOG_INTERVAL = 10


def check_packages() -> None:
    """End the program if a package that cn_clip's training imports is missing."""
    missing = [name for name in ("lmdb", "timm") if find_spec(name) is None]
    if missing:
        raise SystemExit(
            f"cn_clip's training imports {' and '.join(missing)}: run pip install --no-deps lmdb "
            "timm in this environment, or put a folder of them on PYTHONPATH"
        )


def write_lmdb(data: Path, split: str) -> Path:
    """Write a split as cn_clip's script does, from its own files; return the folder of LMDB."""
    source = data / "cn_clip"
    convert(str(data), source, "cnclip", NoProgress())
    script = "cn_clip.preprocess.build_lmdb_dataset"
    arguments = ["--data_dir", str(source), "--splits", split]
    command = [sys.executable, "-m", script, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{script} failed: {ran.stderr}")
    return source / "lmdb" / split


@contextmanager
def one_process() -> Iterator[None]:
    """Join a gloo group of one process, in which CUDA is this machine's CPU."""

    def stay(moved: object, *_: object, **__: object) -> object:
        return moved

    with tempfile.TemporaryDirectory() as folder:
        group = f"file://{folder}/group"
        dist.init_process_group("gloo", init_method=group, rank=0, world_size=1)
        try:
            with (
                mock.patch.object(Tensor, "cuda", stay),
                mock.patch.object(nn.Module, "cuda", stay),
            ):
                yield
        finally:
            dist.destroy_process_group()


class CnClipTraining:
    """A model, its optimiser and its data, trained by cn_clip; to be used in `one_process`."""

    def __init__(self, model: str, lmdb: Path, batch_size: int, steps: int, rounds: int) -> None:
        """Take a checkpoint of a ViT, the steps of a call, and how many calls there will be."""
        from cn_clip.training import data  # noqa: PLC0415 - imports lmdb and timm

        torch.manual_seed(0)
        network = restore_network(find_weights(model))
        resolution = network.visual.input_resolution
        self._args = SimpleNamespace(
            rank=0, world_size=1, local_device_rank=0, accum_freq=1, precision="fp32",
            aggregate=True, gather_with_grad=False, mask_ratio=0, distillation=False,
            freeze_vision=False, use_flash_attention=False, report_training_batch_acc=False,
            max_steps=0, log_interval=_LOG_INTERVAL, val_data=None, valid_step_interval=None,
            should_save=False, save_step_frequency=-1, vision_model="ViT-B-16",
            train_data=str(lmdb), use_augment=False, batch_size=batch_size, seed=123,
            num_workers=0,  # its four processes would take the cores from the training
        )  # fmt: skip
        # The resolution of a published model is read from a file that the demo model lacks.
        with mock.patch.object(data, "fetch_resolution", return_value=resolution):
            self.data = data.get_data(self._args, max_txt_length=_CONTEXT_LENGTH)
        self._model = DistributedDataParallel(network)
        self._optimiser = _make_optimiser(self._model)
        total = steps * rounds
        self._set_rate = cosine_lr(self._optimiser, LR, max(1, total // 20), total)
        self._steps, self._epochs = steps, 0

    def train(self) -> None:
        """Train `steps` steps, with their data, by its `train`: an epoch that ends early."""
        steps = self._steps
        self.data["train"].dataloader.num_batches = steps
        self._args.max_steps = steps * (self._epochs + 1)
        train(self._model, self.data, self._epochs, self._optimiser, None, self._set_rate,
              self._args, steps * self._epochs)  # fmt: skip
        self._epochs += 1

    def loss(self, images: Tensor, texts: Tensor) -> float:
        """Return the loss of a batch without dropout, computed by its `get_loss`."""
        self._model.eval()
        entropy = nn.CrossEntropyLoss()
        with torch.no_grad():
            loss, _ = get_loss(self._model, images, texts, entropy, entropy, self._args)
        return float(loss)


def _make_optimiser(model: nn.Module) -> AdamW:
    """Return the optimiser that the main program of the script makes for a ViT."""
    undecayed: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        excluded = any(part in name for part in ("bn", "ln", "bias", "logit_scale"))
        (undecayed if excluded else decayed).append(parameter)
    groups = [
        {"params": undecayed, "weight_decay": 0.0},
        {"params": decayed, "weight_decay": WEIGHT_DECAY},
    ]
    return AdamW(groups, lr=LR, betas=(0.9, 0.98), eps=1e-6)
