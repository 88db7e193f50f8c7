"""`tusou evalset`: builds an evaluation set for a user's own domain, step by step."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tusou.cli.output import plain_errors, print_json

SetPath = Annotated[Path, typer.Argument(help="Folder of the set.", exists=True, file_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Report as JSON.")]


def plan(
    domain: Annotated[
        Path, typer.Argument(help="Description of the domain, YAML or JSON.", dir_okay=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the set.", file_okay=False)],
    bundle: Annotated[
        Path | None,
        typer.Option(help="Bundle of the pool, whose attributes decide.", exists=True),
    ] = None,
    queries: Annotated[
        str | None, typer.Option(help="Log of queries: a query file, lines of text, DATA#SPLIT.")
    ] = None,
    log_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the queries taken from the log.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same queries.")] = 0,
    url: Annotated[
        str | None,
        typer.Option("--llm", help="Server of a language model that writes texts: http://.../v1."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model on the server.")] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="File with the server's API key.", exists=True, dir_okay=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a plan without judgments.")] = (
        False
    ),
    as_json: AsJson = False,
) -> None:
    """Plan the queries of a set from a domain's terms, and from a log of queries.

    With a language model, it writes the texts, and proposes terms where the domain has none.
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
    typer.echo(f"{out}: {counts.queries} queries of a budget of {counts.budget}: {styles}")
    typer.echo("by " + ", ".join(f"{name}: {count}" for name, count in counts.authors.items()))
    concepts = sum(count > 0 for count in counts.concepts.values())
    typer.echo(f"{concepts} concepts; attributes decide the items of {counts.decided} queries")
    if cost is not None:
        typer.echo(
            f"{cost.questions} questions, {cost.tokens:,} tokens; {cost.kept} answers kept from "
            f"before, {cost.unusable} without use"
        )
    for reason, count in counts.left_out.items():
        typer.echo(f"left out: {count}, {reason}")
    for each in report.plan.queries[:5]:
        typer.echo(f"  {each.text}")


def pool(
    folder: SetPath,
    bundle: Annotated[Path, typer.Option(help="Bundle of all items of the pool.", exists=True)],
    systems: Annotated[
        list[Path] | None,
        typer.Option(help="Bundle, run file or TREC run of a system; repeatable.", exists=True),
    ] = None,
    lexical: Annotated[
        list[str] | None,
        typer.Option(help="Attribute to search lexically, such as title; repeatable."),
    ] = None,
    depth: Annotated[int, typer.Option(min=1, max=1000, help="Ranks of each in the pool.")] = 50,
    certain: Annotated[
        int, typer.Option(min=0, help="First ranks that are judged for certain.")
    ] = 10,
    ranked: Annotated[
        float, typer.Option(min=0, help="Expected pairs per query from lower ranks.")
    ] = 15,
    unranked: Annotated[
        float, typer.Option(min=0, help="Expected pairs per query, found by no system.")
    ] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same pairs.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Pool the results of several systems, and draw the pairs to judge.

    Drawn again with a larger budget, the set keeps the pairs that were drawn before.
    """
    from tusou.cli.progress import progress
    from tusou_lab.evalset.drawing import Drawing
    from tusou_lab.evalset.pool import pool_systems
    from tusou_lab.evalset.set_folder import SetFolder

    with plain_errors(), progress() as bar:
        drawing = Drawing(depth, min(certain, depth), ranked, unranked, seed)
        report = pool_systems(SetFolder(folder), bundle, systems or [], drawing, bar, lexical or [])
    if as_json:
        print_json(asdict(report))
        return
    typer.echo(
        f"{report.pairs:,} pairs of {report.queries} queries and {report.items:,} items to judge"
    )
    if report.no_longer_drawn:
        typer.echo(f"{report.no_longer_drawn} graded pairs are no longer drawn: raise the budget")
    for name, count in report.found_by_one.items():
        typer.echo(f"found by {name} alone: {count}")


def judge(
    folder: SetPath,
    judge_name: Annotated[
        Literal["attributes", "clip", "llm"], typer.Option("--judge", help="Who judges.")
    ] = "llm",
    url: Annotated[
        str | None, typer.Option("--llm", help="Server of a vision language model: http://.../v1.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model on the server.")] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="File with the server's API key.", exists=True, dir_okay=False),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="For clip: a calibrated bundle; the pooled one by default.", exists=True),
    ] = None,
    thresholds: Annotated[
        str, typer.Option(help="For clip: the least relevance of grades 1, 2 and 3.")
    ] = "0.25,0.5,0.75",
    repeats: Annotated[int, typer.Option(min=1, max=10, help="Grades of each pair.")] = 1,
    in_flight: Annotated[int, typer.Option(min=1, max=512, help="Questions asked at once.")] = 16,
    image_side: Annotated[
        int, typer.Option(min=32, max=4096, help="Longer side of the images that are sent.")
    ] = 448,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds without an answer after which judging ends.")
    ] = 60,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one answer.")] = 120,
    temperature: Annotated[
        float, typer.Option(min=0, max=2, help="Of the model's answers; 0: the likeliest.")
    ] = 0,
    price_in: Annotated[
        float | None, typer.Option(min=0, help="Price of a million tokens of questions.")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(min=0, help="Price of a million tokens of answers.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Grade the drawn pairs from 0 to 3; resumes where it was stopped."""
    from tusou.cli.progress import progress
    from tusou_lab.evalset.attribute_judge import AttributeJudge
    from tusou_lab.evalset.clip_judge import ClipJudge, parse_thresholds
    from tusou_lab.evalset.judge import judge_set
    from tusou_lab.evalset.llm_cost import TokenPrices
    from tusou_lab.evalset.llm_judge import LlmJudge, LlmSpec
    from tusou_lab.evalset.open_judge import favoured_systems, open_clip_judge, open_llm_judge
    from tusou_lab.evalset.pool import open_pool
    from tusou_lab.evalset.set_folder import SetFolder

    if judge_name == "llm" and (url is None or model is None):
        raise typer.BadParameter("give --llm URL and --model NAME, or another --judge")
    if judge_name != "llm" and (url or model or repeats > 1):
        raise typer.BadParameter(f"{judge_name} asks no server, and gives the same grade each time")
    if judge_name != "clip" and bundle is not None:
        raise typer.BadParameter("--bundle is for --judge clip")
    favoured: list[str] = []
    with plain_errors(), progress() as bar:
        prices = TokenPrices.of(price_in, price_out)
        opened = SetFolder(folder)
        pooled = open_pool(opened)
        chosen: AttributeJudge | ClipJudge | LlmJudge
        if judge_name == "clip":
            chosen = open_clip_judge(opened, pooled, bundle, parse_thresholds(thresholds))
            favoured = favoured_systems(opened, chosen)
        elif url is None or model is None:
            chosen = AttributeJudge(pooled)
        else:
            spec = LlmSpec(url, model, None, in_flight, image_side, patience, temperature, timeout)
            chosen = open_llm_judge(opened, pooled, spec, key_file)
        report = judge_set(opened, chosen, repeats, bar)
    if favoured:
        typer.secho(
            f"note: {', '.join(favoured)} have a model of this judge, which favours what they "
            "find: compare systems by the grades of another judge or of people",
            err=True,
            fg="yellow",
        )
    cost = asdict(chosen.cost) if isinstance(chosen, LlmJudge) else {}
    if prices is not None:
        cost |= prices.figures(chosen.cost, report) if isinstance(chosen, LlmJudge) else {}
    if as_json:
        facts = {"favoured": favoured} if judge_name == "clip" else cost
        print_json({**asdict(report), **facts})
        return
    grades = ", ".join(f"{count} of grade {grade}" for grade, count in report.grades.items())
    typer.echo(f"{report.judged} judged now, {report.known} before; {grades or 'no grade'}")
    _print_cost(cost)
    if missing := repeats * report.pairs - report.judged - report.known:
        typer.echo(f"{missing} of {report.pairs} pairs cannot be judged by {judge_name}")


def _print_cost(cost: dict[str, Any]) -> None:
    if cost:
        typer.echo(
            f"{cost['questions']} questions, {cost['tokens']:,} tokens; {cost['reused']} judgments "
            f"of equal images reused, {cost['refused']} answers without a grade"
        )
    if "price" in cost:
        typer.echo(f"price {cost['price']:.4f} now, {cost['price_in_all']:.4f} in all")


def review(
    folder: SetPath,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write: .html (a page), .json (Label Studio) or .csv."),
    ] = None,
    person: Annotated[str | None, typer.Option(help="Name of the person who grades.")] = None,
    sample: Annotated[int, typer.Option(min=1, help="Pairs to check.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pairs.")] = 0,
    graded: Annotated[
        list[Path] | None,
        typer.Option("--import", help="Grades to import: .json or .csv; repeatable.", exists=True),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let people check a sample: write a page or a file for it, or import their grades."""
    from tusou_lab.evalset.judge import JUDGMENTS, PAIRS
    from tusou_lab.evalset.pool import open_pool
    from tusou_lab.evalset.review import import_reviews, write_sample
    from tusou_lab.evalset.set_folder import SetFolder

    if (out is None) == (graded is None):
        raise typer.BadParameter("give --out FILE to write, or --import FILE to take grades in")
    with plain_errors():
        opened = SetFolder(folder)
        if graded is not None:
            taken = import_reviews(opened, graded, person)
            facts: dict[str, Any] = {"taken": taken}
            line = f"{taken} grades imported into {folder}"
        else:
            assert out is not None
            if person is None:
                raise typer.BadParameter("give --person, the name of the person who grades")
            bundle = open_pool(opened)
            pairs, judgments = opened.pairs(PAIRS), opened.judgments(JUDGMENTS)
            written = write_sample(opened, bundle, pairs, judgments, out, person, sample, seed)
            facts = {"pairs": written}
            line = f"{out}: {written} pairs for {person}"
    if as_json:
        print_json(facts)
        return
    typer.echo(line)


def agree(
    folder: SetPath,
    correct_from: Annotated[
        int, typer.Option(min=1, max=3, help="Least grade of a correct item.")
    ] = 2,
    as_json: AsJson = False,
) -> None:
    """Compare the grades of the judges of a set, and of the repeats of each."""
    from tusou_lab.evalset.agree import compare_judges
    from tusou_lab.evalset.judge import JUDGMENTS, PAIRS
    from tusou_lab.evalset.set_folder import SetFolder

    with plain_errors():
        opened = SetFolder(folder)
        compared = compare_judges(
            opened.queries(), opened.pairs(PAIRS), opened.judgments(JUDGMENTS), correct_from
        )
    if as_json:
        print_json([asdict(each) for each in compared])
        return
    for each in compared:
        figures = each.agreement
        low, high = figures.equal_interval
        typer.echo(f"{each.first} and {each.second}: {figures.pairs} pairs")
        typer.echo(
            f"  equal grades {100 * figures.equal:.1f} % ({100 * low:.1f} .. {100 * high:.1f})"
        )
        typer.echo(
            f"  kappa {figures.kappa:.3f}, weighted {figures.weighted_kappa:.3f}, of correct and "
            f"incorrect {figures.binary_kappa:.3f}; AC1 {figures.ac1:.3f}"
        )
        if each.tau is not None and each.changed is not None:
            typer.echo(
                f"  systems: Kendall's tau {each.tau:.2f}; {100 * each.changed:.0f} % of the pairs "
                "of systems change their order"
            )
        typer.echo(f"  grades of {each.first} down, of {each.second} across, 0 to 3:")
        for grade, row in enumerate(figures.confusion):
            typer.echo(f"  {grade}  " + "".join(f"{count:>7}" for count in row))
        for name, part in (each.by_style | each.by_concept).items():
            typer.echo(f"  {name}: {part.pairs} pairs, kappa {part.kappa:.3f}")


def build(
    folder: SetPath,
    out: Annotated[Path, typer.Option(help="Folder of the files.", file_okay=False)],
    judge_name: Annotated[
        str | None, typer.Option("--judge", help="Judge whose grades count where no person graded.")
    ] = None,
    correct_from: Annotated[
        int, typer.Option(min=1, max=3, help="Least grade of a correct item.")
    ] = 2,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Leave out the images of the pool.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option(help="Licences of the images and the texts, for the card.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the files in OUT.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the queries, judgments and images of a set, and its card."""
    from tusou.cli.progress import progress
    from tusou_lab.evalset.build import build_set
    from tusou_lab.evalset.set_folder import SetFolder

    with plain_errors(), progress() as bar:
        report = build_set(
            SetFolder(folder),
            out,
            bar,
            judge=judge_name,
            correct_from=correct_from,
            images=not no_images,
            licence=licence,
            force=force,
        )
    if as_json:
        print_json(asdict(report))
        return
    typer.echo(
        f"{out}: {report.queries} queries, {report.pairs:,} judged pairs, {report.correct:,} of "
        f"them correct; {report.without_correct} queries without a correct item"
    )
    if report.unjudged:
        typer.echo(f"{report.unjudged} drawn pairs have no grade")
    for each in report.bias:
        typer.echo(
            f"{each.system}: precision@10 {100 * each.precision:.2f} %, "
            f"{100 * each.left_out:.2f} % if it had not been pooled"
        )
