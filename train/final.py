"""The networks that are shipped: fitted on every speaker, with what export needs beside them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import joblib
import numpy as np
from tqdm.auto import tqdm

from affectd.daemon.emotion.bundle import normalise
from affectd.train import gate
from affectd.train.corpora.corpus import Corpus, CorpusError
from affectd.train.fit import fit
from affectd.train.provenance import commit
from affectd.train.recipe import Recipe
from affectd.train.runs import Data

NETWORKS: Final = ("cnn", "lstm")
PARITY_ROWS: Final = 200  # real utterances on which export compares the networks


def fit_final(
    data: Data, corpora: Sequence[Corpus], recipe: Recipe, seed: int, folder: Path
) -> None:
    """Fit CNN, LSTM and gate on all rows; write them, final.json and real features to a folder."""
    if data.noise is None:
        raise CorpusError("the speech gate learns from noise; name folders of it with --noise")
    folder.mkdir(parents=True, exist_ok=True)
    examples = data.examples
    rows = np.arange(len(examples.clip))
    with tqdm(total=len(NETWORKS) * recipe.epochs + 1, desc="final fits", unit="epoch") as bar:
        for network in NETWORKS:
            fitted = fit(examples, rows, None, network, recipe, seed, on_epoch=bar.update)
            fitted.model.save(folder / f"{network}.keras")
        noise_rows = np.arange(len(data.noise.clip))
        fitted_gate = gate.fit(examples, rows, data.noise, noise_rows, fitted.prior, seed)
        fitted_gate.save(folder / "speech.keras")
        bar.update()
    prior = fitted.prior
    some = np.random.default_rng(seed).permutation(np.flatnonzero(examples.condition == 0))
    some = some[:PARITY_ROWS]
    features = normalise(examples.features[some], prior.mean, prior.std, examples.frames[some])
    joblib.dump(features, folder / "features.joblib", compress=3)
    made = {
        "commit": commit(),
        "seed": seed,
        "recipe": asdict(recipe),
        "features": asdict(examples.spec),
        "data": data.digest(),
        "mean": prior.mean.tolist(),
        "std": prior.std.tolist(),
        "corpora": [
            {
                "name": corpus.name,
                "licence": corpus.licence,
                "citation": corpus.citation,
                "clips": len(corpus.clips),
                "voices": len({clip.speaker for clip in corpus.clips}),
            }
            for corpus in corpora
        ],
    }
    (folder / "final.json").write_text(json.dumps(made, indent=2) + "\n")
