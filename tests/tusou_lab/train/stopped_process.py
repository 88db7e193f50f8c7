"""A process of a run that `torchrun` starts; the first may get a signal after some steps."""

import signal
import sys
from pathlib import Path

from tusou_lab.train.spec import TrainSpec

from tests.tusou_lab.train.training import BEST_EPOCH, train_until_signal

if __name__ == "__main__":
    data, model, out, steps = sys.argv[1:]
    settings = TrainSpec(model, 2, 8, 1e-3, 0.05, 7, "fp32", stopping=BEST_EPOCH)
    print(train_until_signal(data, settings, Path(out), signal.SIGTERM, int(steps)))
