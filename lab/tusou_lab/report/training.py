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
    kept_start = not record.best_epoch or not record.epochs
    facts = {
        "name": name,
        "base": record.settings.get("model", ""),
        "pairs": f"{record.train.queries:,}",
        "epochs": len(record.epochs),
        "recall": record.best_mean_recall,
    }
    if kept_start:
        return words["training_kept_start"].format(**facts)
    return words["training_text"].format(
        **facts,
        first=record.epochs[0].loss,
        last=record.epochs[-1].loss,
        best=record.best_epoch,
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
    scored = _scored(record)
    if len(scored) > 1:
        epochs = [float(epoch) for epoch in scored]
        scores = {
            metric_name(metric, words): [(percent[metric],) * 3 for percent in scored.values()]
            for metric in next(iter(scored.values()))
        }
        chart = line_chart(words["epoch"], words["percent"], epochs, scores, linear=True)
        yield ReportPart(figure=ReportFigure(f"{name}_recall", words["recall_curve"], chart))
    temperatures = {e.epoch: e.temperature for e in record.epochs if e.temperature is not None}
    if len(temperatures) > 1:
        epochs = [float(epoch) for epoch in temperatures]
        curve = {words["temperature"]: [(value,) * 3 for value in temperatures.values()]}
        chart = line_chart(words["epoch"], words["temperature"], epochs, curve, linear=True)
        figure = ReportFigure(f"{name}_temperature", words["temperature_curve"], chart)
        yield ReportPart(figure=figure)


def _scored(record: TrainingRecord) -> dict[int, dict[str, float]]:
    """Return the scores of each epoch, those of the start as epoch 0."""
    start = {} if record.start is None else {0: record.start}
    return start | {epoch.epoch: epoch.percent for epoch in record.epochs}


def _epochs(record: TrainingRecord, words: Strings) -> ResultTable:
    """Return a row for the start, as epoch 0, and for each epoch; the kept one has a tick."""
    scored = _scored(record)
    names = list(next(iter(scored.values()))) if scored else []
    course = ("learning_rate", "temperature", "pairs_per_second")
    head = [words["epoch"], words["loss"], *(metric_name(name, words) for name in names)]
    head += [*(words[name] for name in course), "s"]
    epochs = {epoch.epoch: epoch for epoch in record.epochs}
    rows = []
    for number, percent in scored.items():
        row = [f"{number}{' ✓' if number == record.best_epoch else ''}"]
        epoch = epochs.get(number)
        row.append("–" if epoch is None else f"{epoch.loss:.4f}")
        row += [f"{percent[name]:.2f}" for name in names]
        row += [_value(getattr(epoch, name, None)) for name in course]
        row.append("–" if epoch is None else f"{epoch.seconds:.1f}")
        rows.append(tuple(row))
    return ResultTable(tuple(head), tuple(rows))


def _value(number: float | None) -> str:
    return "–" if number is None else f"{number:.3g}"
