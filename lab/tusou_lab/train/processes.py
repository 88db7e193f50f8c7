"""Several processes that train one model, as `torchrun` starts them; one process without it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

# The others wait while the first process decodes the images.
_TIMEOUT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that train together, and this one's rank; each holds the whole model."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Return whether this process writes the files."""
        return self.rank == 0

    def own_rows(self, rows: int) -> slice:
        """Return the rows of a batch that this process encodes; they differ by one at most."""
        return slice(rows * self.rank // self.count, rows * (self.rank + 1) // self.count)

    def gather(self, own: Tensor, rows: int) -> Tensor:
        """Return the vectors (rows, d) of all processes in order, without gradients."""
        if self.count == 1:
            return own
        most = -(-rows // self.count)
        padded = own.new_zeros((most, *own.shape[1:]))
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in range(self.count)]
        dist.all_gather(parts, padded)
        ends = [rows * (rank + 1) // self.count for rank in range(self.count)]
        lengths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def any(self, flag: int) -> int:
        """Return the largest of a number over the processes."""
        if self.count == 1:
            return flag
        largest = torch.tensor([flag])
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.count > 1:
            dist.barrier()

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Run the block in the first process, then in the others, which use the files it wrote."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """Join the processes that `torchrun` started, within the block."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # Flags are on the CPU, vectors and gradients where the model is.
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=_TIMEOUT)
    try:
        yield Processes(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
