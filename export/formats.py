"""What smaller weights cost: UAR on validation speakers of every network in every format."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from affectd.daemon.emotion.decision import combine
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.export.convert import FORMATS, ExportError, convert
from affectd.export.parity import inference_ms, probabilities
from affectd.train.adaptation import Adaptation
from affectd.train.fits import HEARD_BY_NODE, Data, Run, Weights
from affectd.train.runs import JOINED
from affectd.train.scores import score

NETWORKS: Final = ("cnn", "lstm")
LARGEST_LOSS: Final = 0.005  # of UAR, for a format to be chosen


def measure(data: Data, runs: Sequence[Run], seed: int) -> dict[str, dict[str, float]]:
    """Convert the networks of all folds of one seed, and try each on its validation speakers.

    Returns UAR by format and network, 20 utterances of the voice heard before; the size of a
    network in bytes as `cnn_bytes` and `lstm_bytes`; and the median time of one inference on one
    thread here, in milliseconds, as `cnn_ms` and `lstm_ms`.
    """
    chosen = {(r.system, r.fold): r for r in runs if r.seed == seed and r.system in NETWORKS}
    folds = sorted({fold for _, fold in chosen})
    if not folds or len(chosen) < len(NETWORKS) * len(folds):
        raise ExportError(
            "the formats need CNN and LSTM on the same folds; evaluate with both networks"
        )
    table: dict[str, dict[str, float]] = {}
    with tqdm(total=len(FORMATS) * len(chosen), desc="formats", unit="network") as bar:
        for form in FORMATS:
            uars: dict[str, list[float]] = {name: [] for name in (*NETWORKS, JOINED)}
            sizes: dict[str, float] = {}
            times: dict[str, float] = {}
            for fold in folds:
                p = {}
                for name in NETWORKS:
                    run = chosen[name, fold]
                    network = _converted(run.system, fitted_of(run), data, form)
                    features = _tried(run, fitted_of(run), data)
                    sizes[f"{name}_bytes"] = len(network)
                    times[f"{name}_ms"] = inference_ms(network, features)
                    p[name] = probabilities(network, features, len(EMOTIONS))
                    uars[name].append(_uar(data, run, p[name]))
                    bar.update()
                uars[JOINED].append(_uar(data, run, combine(list(p.values()))))
            table[form] = {name: float(np.mean(values)) for name, values in uars.items()}
            table[form] |= sizes | times
    return table


def choose(table: Mapping[str, Mapping[str, float]]) -> str:
    """The smallest format that costs CNN and LSTM together less than LARGEST_LOSS of UAR."""
    best = table["float32"][JOINED]
    fit = [form for form in FORMATS if best - table[form][JOINED] < LARGEST_LOSS]
    return min(fit, key=lambda form: sum(table[form][f"{name}_bytes"] for name in NETWORKS))


def fitted_of(run: Run) -> Weights:
    """The weights of a run; raise ExportError if it has none."""
    if run.fitted is None:
        raise ExportError(f"the run of {run.system} has no weights; evaluate again")
    return run.fitted


def _converted(network: str, fitted: Weights, data: Data, form: str) -> bytes:
    from affectd.train.networks import NETWORKS as DESIGNS
    from affectd.train.networks import joined

    model = joined(DESIGNS[network](data.examples.spec, fitted.recipe))
    model.set_weights(fitted.arrays)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        model.save(path)
        return convert(path, form)


def _tried(run: Run, fitted: Weights, data: Data) -> NDArray[np.float32]:
    """Normalised features of the validation utterances, adapted as in the evaluation."""
    rows, prior = run.validation.rows, fitted.prior
    counts, quiet = np.full(len(rows), HEARD_BY_NODE), np.zeros(len(rows), bool)
    random = np.random.default_rng(run.seed)
    return Adaptation(data.examples, rows, prior).normalised(rows, counts, quiet, random)


def _uar(data: Data, run: Run, p: NDArray[Any]) -> float:
    return score(data.examples.emotion[run.validation.rows], p.argmax(axis=1)).uar
