"""`affectd export`: from fitted networks to a bundle, on the command line."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from affectd.export.convert import FORMATS


def run(words: Sequence[str]) -> int:
    """Run `affectd export`; return its exit status."""
    _export(parser().parse_args(words))
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the parser of `affectd export`."""
    parser = argparse.ArgumentParser(
        prog="affectd export",
        description="Convert the networks that `affectd train evaluate` and `affectd train gate` "
        "have fitted to everything, check them against Keras, and write a bundle.",
    )
    parser.add_argument(
        "--workdir",
        type=Path,
        default=Path("build/train"),
        metavar="DIR",
        help="where `affectd train` kept its results (default: build/train)",
    )
    parser.add_argument(
        "--to",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the bundle; name it as emotion.bundle in the configuration",
    )
    parser.add_argument(
        "--weights",
        choices=FORMATS,
        default="float16",
        help="how the weights of CNN, LSTM and speech gate are stored; dynamic is int8 with "
        "float32 activations (default: float16)",
    )
    return parser


def _export(args: argparse.Namespace) -> None:
    from affectd.export.bundle import export

    bundle = export(args.workdir, args.to, args.weights)
    for name, network in {**bundle.networks, "speech": bundle.gate}.items():
        measured = ", ".join(f"{form} {value:.1e}" for form, value in network.parity.items())
        print(f"{name}: largest difference to Keras in probability: {measured}")
    size = sum(path.stat().st_size for path in args.to.iterdir() if path.is_file())
    print(f"Written to {args.to}, {size / 1e6:.2f} MB")
