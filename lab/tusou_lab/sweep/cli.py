"""`tusou sweep`: compares settings, one at a time."""

from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.output import plain_errors, print_json, renamed_option, warn_outside


def sweep(
    bundle: Annotated[Path, typer.Argument(help="Bundle of images.", exists=True, file_okay=False)],
    answers: Annotated[str, typer.Option(help="Query file with the correct items, or DATA#SPLIT.")],
    out: Annotated[Path, typer.Option(help="Folder for tables, curves, data and embeddings.")],
    templates: Annotated[
        Path | None,
        typer.Option(help="File with a prompt template per line.", exists=True, dir_okay=False),
    ] = None,
    pool: Annotated[
        list[int] | None, typer.Option(min=1, help="Pool size; repeat for more.")
    ] = None,
    top_k: Annotated[
        list[int] | None, typer.Option(min=1, max=1000, help="Results to score; repeat for more.")
    ] = None,
    index: Annotated[
        list[str] | None,
        typer.Option(help="FAISS factory string, a space, tuning; repeat for more."),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="fp32, bf16, fp16 or int8 for queries; repeat, with the base first."),
    ] = None,
    no_interpret: Annotated[
        bool, typer.Option("--no-interpret", help="Do not look for refusals in texts.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a finished sweep.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
    _factory: Annotated[str | None, renamed_option("--factory", "--index")] = None,
) -> None:
    """Compare prompts, pool sizes, top-k, index types and precisions: a table and a curve each."""
    from tusou.cli.progress import progress
    from tusou.text.prompt_file import read_templates
    from tusou_lab.strings import strings_in
    from tusou_lab.sweep.output import PAGE, prepare_folder, result_json, write_sweep
    from tusou_lab.sweep.run import DEPTHS, PRECISIONS, SweepSpec
    from tusou_lab.sweep.run import sweep as run_sweep
    from tusou_lab.sweep.tables import experiment_tables

    with plain_errors(), progress() as bar:
        spec = SweepSpec(
            read_templates(templates) if templates else (),
            tuple(pool or ()),
            tuple(top_k or DEPTHS),
            tuple(index or ()),
            tuple(precision or PRECISIONS),
            interpret=not no_interpret,
        )
        result = run_sweep(bundle, answers, spec, prepare_folder(out, force=force), bar)
        write_sweep(out, result)
    if result.answers_outside_pool:
        warn_outside(result.answers_outside_pool, result.correct_items)
    if as_json:
        print_json(result_json(result))
        return
    for experiment in result.experiments:
        for table in experiment_tables(experiment, strings_in("en")):
            typer.echo(table.markdown() + "\n")
    typer.echo(
        f"{result.queries} queries, {result.encoded} texts encoded, {result.cached} cached; "
        f"tables and curves: {out / PAGE}"
    )
