"""The section of a report about the training of its models."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tusou.core.errors import BadModel
from tusou.encoders.training_record import TrainingRecord, read_record
from tusou_lab.charts.plots import line_chart
from tusou_lab.report.inputs import ReportRun
from tusou_lab.report.metric_names import metric_name
from tusou_lab.report.model import ReportFigure, ReportPart
from tusou_lab.strings import Strings
from tusou_lab.sweep.tables import ResultTable


def training_records(run: ReportRun) -> dict[str, TrainingRecord]:
    """Return name and record of each model that a run's bundle was made with, if still there."""
    records: dict[str, TrainingRecord] = {}
    for model in run.bundle.manifest.model.parts if run.bundle else ():
        with suppress(BadModel):
            record = read_record(Path(model.location))
            if record and record.checkpoint_sha256 == model.sha256:
                records[model.name] = record
    return records


def training(runs: Sequence[ReportRun], words: Strings) -> Iterator[ReportPart]:
    """Describe how each model was trained: settings, data, losses and scores."""
    records: dict[str, tuple[str, TrainingRecord]] = {}
    for run in runs:
        for name, record in training_records(run).items():
            records.setdefault(record.checkpoint_sha256, (name, record))
    for number, (name, record) in enumerate(records.values(), start=1):
        heading = name if len(records) > 1 else ""
        yield ReportPart(heading, _summary(name, record, words), table=_settings(record, words))
        yield from _curves(f"training_{number}", record, words)
        yield ReportPart(table=_epochs(record, words))


def _summary(name: str, record: TrainingRecord, words: Strings) -> str:
    return words["training_text"].format(
        name=name,
        base=record.settings.get("model", ""),
        pairs=f"{record.train.queries:,}",
        epochs=len(record.epochs),
        first=record.epochs[0].loss,
        last=record.epochs[-1].loss,
        best=record.best_epoch,
        recall=record.best_mean_recall,
    )


def _settings(record: TrainingRecord, words: Strings) -> ResultTable:
    rows = [(name, str(value)) for name, value in record.settings.items()]
    for name, split in (("train", record.train), ("valid", record.valid)):
        counts = words["split_counts"].format(
            images=f"{split.images:,}", queries=f"{split.queries:,}"
        )
        rows.append((name, f"{Path(split.source).name}: {counts}"))
    rows += [
        (words["training_seconds"], f"{record.seconds:.0f}"),
        (words["machine_row"], record.machine),
        (words["date"], record.date),
    ]
    return ResultTable((words["setting"], ""), tuple(rows))


def _curves(name: str, record: TrainingRecord, words: Strings) -> Iterator[ReportPart]:
    if len(record.losses) > 1:
        steps = [float(step) for step, _ in record.losses]
        lines = {words["loss"]: [(loss, loss, loss) for _, loss in record.losses]}
        chart = line_chart(words["step"], words["loss"], steps, lines, linear=True)
        yield ReportPart(figure=ReportFigure(f"{name}_loss", words["loss_curve"], chart))
    if len(record.epochs) > 1:
        epochs = [float(epoch.epoch) for epoch in record.epochs]
        scores = {
            metric_name(metric, words): [(epoch.percent[metric],) * 3 for epoch in record.epochs]
            for metric in record.epochs[0].percent
        }
        chart = line_chart(words["epoch"], words["percent"], epochs, scores, linear=True)
        yield ReportPart(figure=ReportFigure(f"{name}_recall", words["recall_curve"], chart))


def _epochs(record: TrainingRecord, words: Strings) -> ResultTable:
    names = list(record.epochs[0].percent)
    head = (words["epoch"], words["loss"], *(metric_name(name, words) for name in names), "s")
    rows = (
        (
            f"{epoch.epoch}{' ✓' if epoch.epoch == record.best_epoch else ''}",
            f"{epoch.loss:.4f}",
            *(f"{epoch.percent[name]:.2f}" for name in names),
            f"{epoch.seconds:.1f}",
        )
        for epoch in record.epochs
    )
    return ResultTable(head, tuple(rows))
