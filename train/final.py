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
from affectd.train.corpora.corpus import Corpus, CorpusError
from affectd.train.examples import Statistics, digest, statistics
from affectd.train.fits import Data, quiet_one_thread
from affectd.train.provenance import commit
from affectd.train.recipe import Recipe

FILES: Final = ("lstm", "cnn", "speech")
PARITY_ROWS: Final = 200  # real utterances on which export compares the networks


def fit_final(
    data: Data,
    corpora: Sequence[Corpus],
    recipe: Recipe,
    gate_epochs: int,
    seed: int,
    folder: Path,
    jobs: int,
) -> None:
    """Fit CNN, LSTM and gate on all rows; write them, final.json and real features to a folder."""
    from affectd.train.fit import learnt

    if data.noise is None:
        raise CorpusError("the speech gate learns from noise; name folders of it with --noise")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "final.json").unlink(missing_ok=True)  # written last: without it nothing is exported
    examples = data.examples
    prior = statistics(examples, learnt(examples, np.arange(len(examples.clip)), recipe))
    tasks = [
        joblib.delayed(_fit)(data, name, recipe, gate_epochs, prior, seed, folder) for name in FILES
    ]
    fits = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks)
    for _ in tqdm(fits, total=len(FILES), desc="final fits", unit="fit"):
        pass
    some = np.random.default_rng(seed).permutation(np.flatnonzero(examples.condition == 0))
    some = some[:PARITY_ROWS]
    features = normalise(examples.features[some], prior.mean, prior.std, examples.frames[some])
    joblib.dump(features, folder / "features.joblib", compress=3)
    made = {
        "commit": commit(),
        "seed": seed,
        "recipe": asdict(recipe),
        "features": asdict(examples.spec),
        "data": digest(examples),
        "gate": {"epochs": gate_epochs, "noise": digest(data.noise)},
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


def _fit(
    data: Data,
    name: str,
    recipe: Recipe,
    gate_epochs: int,
    prior: Statistics,
    seed: int,
    folder: Path,
) -> None:
    quiet_one_thread()
    from affectd.train import fits, gate
    from affectd.train.fit import fit

    rows = np.arange(len(data.examples.clip))
    if name == "speech" and data.noise is not None:
        noise_rows = np.flatnonzero(fits.learnt(data.noise))
        model = gate.fit(data.examples, rows, data.noise, noise_rows, prior, gate_epochs, seed)
    else:
        model = fit(data.examples, rows, None, name, recipe, seed).model
    model.save(folder / f"{name}.keras")
