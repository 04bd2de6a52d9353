"""`affectd train …`: the desktop stage on the command line."""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from affectd.train.examples import Examples

DEFAULT_WORKDIR = Path("build/train")


def run(words: Sequence[str]) -> int:
    """Run one command of `affectd train`; return its exit status."""
    args = _parser().parse_args(words)
    args.run(args)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="affectd train", description="Measure and fit networks on labelled recordings."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    evaluate = _command(commands, "evaluate", "measure every network on actors it has never heard")
    evaluate.add_argument(
        "--networks",
        nargs="+",
        choices=["mlp", "cnn", "lstm"],
        default=["mlp", "cnn", "lstm"],
        help="which to fit (default: all; CNN and LSTM together are also joined)",
    )
    _add_fitting(evaluate)
    evaluate.set_defaults(run=_evaluate)
    ancestor = _command(
        commands, "ancestor", "show what a random split of oversampled clips pretends"
    )
    ancestor.add_argument("--seeds", type=_positive, default=3, help="repetitions (default: 3)")
    ancestor.set_defaults(run=_ancestor)
    final = _command(commands, "final", "fit CNN and LSTM on all actors, for `affectd export`")
    final.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    final.add_argument("--epochs", type=_positive, default=45, help="epochs (default: 45)")
    final.set_defaults(run=_final)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, description: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=description, description=description.capitalize() + "."
    )
    command.add_argument(
        "--ravdess",
        type=Path,
        required=True,
        metavar="DIR",
        help="RAVDESS speech in its publishers' layout: Actor_01/03-01-01-01-01-01-01.wav …",
    )
    command.add_argument(
        "--workdir",
        type=Path,
        default=DEFAULT_WORKDIR,
        metavar="DIR",
        help=f"where features, weights and reports are kept (default: {DEFAULT_WORKDIR})",
    )
    command.add_argument(
        "--jobs",
        type=_positive,
        default=os.cpu_count() or 1,
        help="parallel processes (default: one a core)",
    )
    return command


def _add_fitting(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seeds", type=_positive, default=3, help="repetitions (default: 3)")
    command.add_argument(
        "--folds",
        type=int,
        nargs="+",
        choices=range(1, 7),
        default=list(range(1, 7)),
        help="which of the six folds to test on (default: all)",
    )
    command.add_argument("--epochs", type=_positive, default=45, help="epochs a fit (default: 45)")


def _evaluate(args: argparse.Namespace) -> None:
    from affectd.train import report
    from affectd.train.evaluate import EvaluateConfig, evaluate, run_all

    began = time.monotonic()
    examples = _examples(args)
    config = EvaluateConfig(
        networks=tuple(args.networks),
        folds=tuple(fold - 1 for fold in args.folds),
        seeds=tuple(range(args.seeds)),
        epochs=args.epochs,
        jobs=args.jobs,
    )
    runs = run_all(examples, config)
    evaluations = evaluate(examples, runs)
    folder = args.workdir / "evaluation"
    report.write(folder, examples, config, runs, evaluations, time.monotonic() - began)
    print(f"{report.table(evaluations)}\n\nPictures and figures: {folder}/report.md")


def _ancestor(args: argparse.Namespace) -> None:
    from affectd.train import ancestor
    from affectd.train.corpora import ravdess
    from affectd.train.provenance import commit

    corpus = ravdess(args.ravdess)
    print(corpus.report())
    table = ancestor.table(ancestor.reproduce(corpus, tuple(range(args.seeds)), args.jobs))
    args.workdir.mkdir(parents=True, exist_ok=True)
    path = args.workdir / "ancestor.md"
    path.write_text(f"{table}\n\nAccuracy in percent, {args.seeds} seeds, commit {commit()}.\n")
    print(f"{table}\n\nWritten to {path}")


def _final(args: argparse.Namespace) -> None:
    from affectd.train.final import fit_final

    examples = _examples(args)
    fit_final(examples, args.seed, args.epochs, args.workdir / "final")
    print(
        f"Fitted on all {len(examples.clip)} utterances; "
        f"now: affectd export --workdir {args.workdir} --to DIR"
    )


def _examples(args: argparse.Namespace) -> "Examples":
    from affectd.daemon.speech.mfcc import FeatureSpec
    from affectd.train.corpora import ravdess
    from affectd.train.examples import stored

    corpus = ravdess(args.ravdess)
    print(corpus.report())
    examples = stored(corpus, FeatureSpec(), args.workdir, args.jobs)
    print(examples.report())
    return examples
