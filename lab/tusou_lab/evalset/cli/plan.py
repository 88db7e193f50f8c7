"""`tusou evalset plan`: its options and its output."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tusou.cli.output import plain_errors, print_json
from tusou_lab.evalset.cli.options import AsJson


def plan(
    domain: Annotated[
        Path, typer.Argument(help="Description of the domain, YAML or JSON.", dir_okay=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the set.", file_okay=False)],
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="Bundle of the pool; its attributes decide what is correct.", exists=True
        ),
    ] = None,
    queries: Annotated[
        str | None,
        typer.Option(help="Log of queries: a query file, lines of text, or DATA#SPLIT."),
    ] = None,
    log_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the queries taken from the log.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same queries.")] = 0,
    url: Annotated[
        str | None,
        typer.Option("--llm", help="Server of a language model to write texts: http://.../v1."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model on the server.")] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="File with the server's API key.", exists=True, dir_okay=False),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a plan that has no judgments.")
    ] = (False),
    as_json: AsJson = False,
) -> None:
    """Plan the queries of a set from a domain's terms and from a log of queries.

    A language model, if given, writes the texts, and proposes terms if the domain has none.
    """
    from tusou.bundle.bundle import Bundle
    from tusou.cli.progress import progress
    from tusou.core.key_file import read_key_lines
    from tusou.data import open_dataset
    from tusou_lab.evalset.domain import read_domain
    from tusou_lab.evalset.llm_asker import AskSpec
    from tusou_lab.evalset.plan_set import plan_set
    from tusou_lab.evalset.set_folder import SetFolder

    if (url is None) != (model is None):
        raise typer.BadParameter("give both --llm URL and --model NAME")
    with plain_errors(), progress() as bar:
        described = read_domain(domain)
        table = None if bundle is None else Bundle.open(bundle).attributes
        log = [] if queries is None else [each.text for each in open_dataset(queries).queries()]
        spec = None
        if url is not None and model is not None:
            keys = read_key_lines(key_file) if key_file else []
            spec = AskSpec(url, model, keys[0].key if keys else None)
        report = plan_set(
            SetFolder(out),
            described,
            table,
            seed,
            bar,
            log=list(dict.fromkeys(log)),
            log_share=log_share,
            model=spec,
            force=force,
        )
    counts, cost = report.counts, report.cost
    if as_json:
        facts: dict[str, Any] = {"seed": seed, **asdict(counts)}
        print_json(facts if cost is None else {**facts, "model": asdict(cost)})
        return
    styles = ", ".join(f"{count} {style}" for style, count in counts.styles.items())
    typer.echo(f"{out}: {counts.queries} of {counts.budget} queries planned: {styles}")
    typer.echo("by " + ", ".join(f"{name}: {count}" for name, count in counts.authors.items()))
    concepts = sum(count > 0 for count in counts.concepts.values())
    typer.echo(f"{concepts} concepts; {counts.decided} queries can be judged by attributes")
    if cost is not None:
        typer.echo(
            f"{cost.questions} questions, {cost.tokens:,} tokens; {cost.kept} answers reused, "
            f"{cost.unusable} questions without a usable answer"
        )
    for reason, count in counts.left_out.items():
        typer.echo(f"left out: {count}, {reason}")
    for each in report.plan.queries[:5]:
        typer.echo(f"  {each.text}")
