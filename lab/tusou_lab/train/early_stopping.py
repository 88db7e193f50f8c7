"""Settings that decide which epoch is saved, and when a run stops early."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """The comparison of epochs by their mean_recall on valid."""

    patience: int = 0  # epochs without a better score after which the run ends; 0: never
    # Score the model before its training, and keep it if no epoch is better. Without it, the best
    # epoch is kept, however bad.
    keep_start: bool = True
