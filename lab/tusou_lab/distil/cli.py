"""`tusou distil`: its options and its output."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tusou.cli.output import plain_errors, print_json

if TYPE_CHECKING:
    from tusou.encoders.student.folder import Student
    from tusou.encoders.student.record import Figure


def distil(
    bundle: Annotated[
        Path,
        typer.Argument(help="Bundle whose model is the teacher.", exists=True, file_okay=False),
    ],
    *,
    queries: Annotated[
        list[str], typer.Option(help="Query file or DATA#SPLIT to learn from; repeatable.")
    ],
    size: Annotated[
        Literal["table", "small", "medium"],
        typer.Option(
            help="table: no neural network; small: 2 layers of width 256; medium: 3 of 768."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write the student into.", file_okay=False)],
    answers: Annotated[
        list[str] | None,
        typer.Option(help="Judged queries to measure on, never trained on; repeatable."),
    ] = None,
    no_interpret: Annotated[
        bool,
        typer.Option("--no-interpret", help="With --answers: do not look for refusals in texts."),
    ] = False,
    titles: Annotated[
        bool, typer.Option("--titles", help="Also learn from the strings of the items' attributes.")
    ] = False,
    composed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Texts to compose of the words of others; by default, up to 10,000 texts in all.",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps of a network.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the texts held out and of training.")
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder to cache the teacher's vectors in.", file_okay=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing student.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Train a student: a small text encoder that imitates the text tower of a bundle's model."""
    import os

    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as `tusou train`
    from tusou.cli.progress import progress
    from tusou_lab.distil.run import DistilSpec
    from tusou_lab.distil.run import distil as run_distil

    with plain_errors(), progress() as bar:
        spec = DistilSpec(
            tuple(queries),
            size,
            tuple(answers or ()),
            titles,
            composed,
            steps,
            seed,
            device,
            cache,
            interpret=not no_interpret,
        )
        student = run_distil(bundle, spec, out, force=force, progress=bar)
    if as_json:
        print_json({"student": str(out), "sha256": student.sha256, **student.record.model_dump()})
        return
    _print(student)


def _print(student: "Student") -> None:
    record = student.record
    training, retention = record.training, record.retention
    typer.echo(
        f"{student.path}: {student.name}, taught {training.queries:,} queries and "
        f"{training.composed:,} further texts in {training.seconds:.0f} s"
    )
    assert retention is not None  # measured before the student is written
    typer.echo(f"on {retention.texts:,} held-out texts:")
    typer.echo(f"  cosine with the teacher  {_in_words(retention.cosine)}")
    typer.echo(f"  overlap of the top 10    {_in_words(retention.overlap_at_10)}")
    for answers in retention.answers:
        retained = "" if answers.retained is None else f", {_in_words(answers.retained)} retained"
        typer.echo(
            f"{answers.data}, {answers.queries} queries: mean_recall "
            f"{100 * answers.teacher.value:.2f} % with the teacher, "
            f"{100 * answers.student.value:.2f} % with the student{retained}"
        )
    if record.tuning is not None:
        tuning = record.tuning
        typer.echo(
            f"index: {tuning.tuning or 'default parameters'}, index_recall@10 "
            f"{100 * tuning.index_recall_at_10:.2f} % (with the bundle's own "
            f"{100 * tuning.before:.2f} %)"
        )
        if tuning.index_recall_at_10 < tuning.target_recall:
            typer.secho(
                f"warning: the index finds less than its target of "
                f"{100 * tuning.target_recall:.1f} % for the student's queries",
                err=True,
                fg="yellow",
            )
    typer.echo(f"serve it: tusou serve BUNDLE --query-encoder {student.path}")


def _in_words(figure: "Figure") -> str:
    return f"{100 * figure.value:.2f} % ({100 * figure.low:.2f} .. {100 * figure.high:.2f})"
