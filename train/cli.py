"""`affectd train …`: the desktop stage on the command line."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from affectd.train import options

if TYPE_CHECKING:
    from affectd.train.corpora.corpus import Corpus
    from affectd.train.data import Sources
    from affectd.train.fits import Data
    from affectd.train.runs import RunConfig

DEFAULT_WORKDIR: Final = Path("build/train")


def run(words: Sequence[str]) -> int:
    """Run one command of `affectd train`; return its exit status."""
    args = parser().parse_args(words)
    args.run(args)
    return 0


def parser() -> argparse.ArgumentParser:
    """What `affectd train` understands."""
    from affectd.train.corpora import fetch

    top = argparse.ArgumentParser(
        prog="affectd train", description="Measure and fit networks on labelled recordings."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    fetch.add_command(commands)
    _add_music(commands)
    _add_demo(commands)
    _add_measuring(commands)
    _add_ancestor(commands)
    _add_report(commands)
    return top


def _add_measuring(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    evaluate = _command(
        *(commands, "evaluate"),
        "measure every network on speakers and corpora it has never heard, and fit those to ship",
        _evaluate,
    )
    options.add_systems(evaluate)
    options.add_seeds(evaluate)
    options.add_recipe(evaluate)
    options.add_scheduler(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print the main figures as JSON")
    gate = _command(
        commands, "gate", "measure what of noise and of speech the speech gate lets through", _gate
    )
    options.add_gate_steps(gate)
    options.add_seeds(gate)
    options.add_scheduler(gate)
    gate.add_argument("--json", action="store_true", help="print the figures as JSON")
    ablate = _command(
        commands, "ablate", "measure on corpora left out what each ingredient brings", _ablate
    )
    ablate.add_argument(
        "--only", nargs="+", metavar="CHANGE", help="of the changes, only these (default: all)"
    )
    options.add_seeds(ablate)
    options.add_recipe(ablate)
    options.add_scheduler(ablate)


def _add_ancestor(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    ancestor = _command(
        commands, "ancestor", "show what a random split of oversampled clips pretends", _ancestor
    )
    ancestor.add_argument(
        "--seeds", type=options.positive, default=3, help="repetitions (default: 3)"
    )


def _add_report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    report = commands.add_parser(
        "report",
        help="show the figures of an evaluation",
        description="Show the figures of an evaluation, by default of the committed one.",
    )
    report.add_argument(
        "--from",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="folder with report.json (default: the committed report)",
    )
    report.add_argument("--json", action="store_true", help="print the main figures as JSON")
    report.set_defaults(run=_report)


def _add_music(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "play the scores of a game into recordings of music, for --music"
    command = commands.add_parser(
        "music",
        help=text,
        description=text.capitalize() + ". By default it is Freedoom, as Debian has it.",
    )
    command.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="the folder to write them into"
    )
    command.add_argument(
        "--games", type=Path, nargs="+", metavar="WAD", help="with MIDI scores (default: Freedoom)"
    )
    command.add_argument(
        "--fonts",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="sound fonts to play them with, in turn (default: Debian's FluidR3 and MuseScore)",
    )
    command.set_defaults(run=_music)


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "write the recordings of `affectd demo`, chosen by what listeners of CREMA-D heard"

    def run(args: argparse.Namespace) -> None:
        from affectd.train import demo

        print(demo.make(args.cremad, args.to).report())

    command = commands.add_parser("demo", help=text, description=text.capitalize() + ".")
    command.add_argument(
        "--cremad", type=Path, required=True, metavar="DIR", help="the folder of CREMA-D"
    )
    command.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="the folder to write them into"
    )
    command.set_defaults(run=run)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    description: str,
    run: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=description, description=description.capitalize() + "."
    )
    command.set_defaults(run=run)
    options.add_recordings(command)
    command.add_argument(
        "--workdir",
        type=Path,
        default=DEFAULT_WORKDIR,
        metavar="DIR",
        help=f"where features, weights and reports are kept (default: {DEFAULT_WORKDIR})",
    )
    command.add_argument(
        "--jobs",
        type=options.positive,
        default=os.cpu_count() or 1,
        help="parallel processes (default: one a core)",
    )
    return command


def _music(args: argparse.Namespace) -> None:
    from affectd.train import music

    count = music.render(args.to, args.games, args.fonts)
    print(f"{count} pieces of {music.SECONDS} s in {args.to}")


def _evaluate(args: argparse.Namespace) -> None:
    from affectd.train import report
    from affectd.train.evaluate import evaluate
    from affectd.train.runs import run_all
    from affectd.train.tables import table

    config = replace(_config(args), systems=tuple(args.systems))
    data, corpora = _data(args)
    runs = run_all(data, config, args.workdir / "runs", args.jobs, args.scheduler)
    made = report.Made(
        config=config,
        corpora=tuple(corpora),
        utterances=data.examples.report(),
        fitted_s=sum(run.took_s for run in runs),
        encoder_parity=_parity(args, data),
    )
    folder = args.workdir / "evaluation"
    written = report.write(folder, data, made, evaluate(data, runs))
    if args.json:
        print(json.dumps(report.summary(written)))
    else:
        print(f"{table(written)}\n\nPictures and figures: {folder}/report.md")


def _parity(args: argparse.Namespace, data: "Data") -> float:
    """How far the encoder strays from the one with exact weights."""
    from affectd.train.encoder import EncoderSpec, difference, prepared
    from affectd.train.examples import statistics
    from affectd.train.fits import taught
    from affectd.train.folds import ALL

    exact = prepared(args.encoder, args.workdir, EncoderSpec(weights="float32"))
    prior = statistics(data.examples, taught(data, ALL))
    return difference(data.encoder, exact, prior.std)


def _gate(args: argparse.Namespace) -> None:
    from affectd.train import passing, plots, report, tables
    from affectd.train.corpora.corpus import CorpusError
    from affectd.train.runs import run_gates

    if not args.noise:
        raise CorpusError(
            "the threshold of a fold comes from noise of the others: name folders with --noise"
        )
    data, _ = _data(args)
    config, steps = _config(args), args.gate_steps
    runs = run_gates(data, config, steps, args.workdir / "gates", args.jobs, args.scheduler)
    result = passing.measure(data, runs, steps)
    folder = args.workdir / "evaluation"
    report.put_beside(folder, tables.GATE, data, result)
    plots.gate(result, folder / "gate.png")
    print(json.dumps(result) if args.json else tables.gate_section(result))


def _ablate(args: argparse.Namespace) -> None:
    from affectd.train import plots, report, tables
    from affectd.train.ablation import CHANGES, ablate
    from affectd.train.recipe import RecipeError

    names = list(CHANGES) if args.only is None else [next(iter(CHANGES)), *args.only]
    if unknown := set(names) - set(CHANGES):
        raise RecipeError(
            f"there is no change {', '.join(map(repr, unknown))}; there are {', '.join(CHANGES)}"
        )
    config = _config(args)
    data, _ = _data(args)
    changes = {name: CHANGES[name] for name in dict.fromkeys(names)}
    place = args.workdir / "ablation"
    result = ablate(data, config, changes, place, args.jobs, args.scheduler)
    folder = args.workdir / "evaluation"
    report.put_beside(folder, tables.ABLATION, data, result)
    plots.ablation(result["changes"], folder / "ablation.png")
    print(tables.ablation_table(result))


def _ancestor(args: argparse.Namespace) -> None:
    from affectd.train import ancestor
    from affectd.train.data import corpora
    from affectd.train.provenance import commit
    from affectd.train.stored import write_text

    corpus = corpora(_sources(args))[0]
    print(corpus.report())
    table = ancestor.table(ancestor.reproduce(corpus, tuple(range(args.seeds)), args.jobs))
    path = args.workdir / "ancestor.md"
    write_text(f"{table}\n\nAccuracy in percent, {args.seeds} seeds, commit {commit()}.\n", path)
    print(f"{table}\n\nWritten to {path}")


def _report(args: argparse.Namespace) -> None:
    from affectd.train import report
    from affectd.train.tables import markdown

    shown = report.load(args.folder or report.COMMITTED)
    print(json.dumps(report.summary(shown)) if args.json else markdown(shown))


def _sources(args: argparse.Namespace) -> "Sources":
    from affectd.train.corpora.layouts import LAYOUTS
    from affectd.train.data import Sources

    return Sources(
        encoder=args.encoder,
        corpora={key: getattr(args, key) for key in LAYOUTS if getattr(args, key) is not None},
        tables=tuple(args.table),
        test_only=tuple(args.test_only),
        noise=tuple(args.noise),
        music=tuple(args.music),
        tried_noise=tuple(args.tried_noise),
        plain=tuple(args.plain),
        rooms=tuple(args.rooms),
        tried_rooms=tuple(args.tried_rooms),
    )


def _data(args: argparse.Namespace) -> "tuple[Data, list[Corpus]]":
    from affectd.train.data import check_folds, gather

    sources = _sources(args)
    check_folds(sources)
    data, corpora = gather(sources, args.workdir, args.jobs)
    for corpus in corpora:
        print(corpus.report(), file=sys.stderr)
    print(data.examples.report(), file=sys.stderr)
    return data, corpora


def _config(args: argparse.Namespace) -> "RunConfig":
    from affectd.train.recipe import Recipe
    from affectd.train.runs import RunConfig

    recipe = Recipe().changed(dict(getattr(args, "changes", ())))
    return RunConfig(seeds=tuple(range(args.seeds)), recipe=recipe)
