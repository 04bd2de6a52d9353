"""The networks that are shipped: fitted on every actor, with what export needs beside them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

import joblib
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from affectd.train.examples import Examples, Statistics, statistics
from affectd.train.fit import FitConfig, fit
from affectd.train.provenance import commit

NETWORKS: Final = ("cnn", "lstm")
PARITY_ROWS: Final = 200  # real utterances on which export compares the networks


def fit_final(examples: Examples, seed: int, epochs: int, folder: Path) -> None:
    """Fit CNN and LSTM on all rows and write them, final.json and real features into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.arange(len(examples.clip))
    with tqdm(total=len(NETWORKS) * epochs, desc="final fits", unit="epoch") as bar:
        for network in NETWORKS:
            config = FitConfig(network, seed, epochs=epochs)
            fitted = fit(examples, rows, None, config, on_epoch=bar.update)
            fitted.model.save(folder / f"{network}.keras")
    measured = statistics(examples, rows)
    joblib.dump(_some(examples, measured, seed), folder / "features.joblib", compress=3)
    made = {
        "commit": commit(),
        "seed": seed,
        "epochs": epochs,
        "features": asdict(examples.spec),
        "mean": measured.mean.tolist(),
        "std": measured.std.tolist(),
        "corpora": [
            {
                "name": examples.corpus.name,
                "licence": examples.corpus.licence,
                "clips": len(examples.corpus.clips),
                "voices": len({clip.actor for clip in examples.corpus.clips}),
            }
        ],
    }
    (folder / "final.json").write_text(json.dumps(made, indent=2) + "\n")


def _some(examples: Examples, measured: Statistics, seed: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).permutation(len(examples.clip))[:PARITY_ROWS]
    return measured.normalise(examples.features[rows])
