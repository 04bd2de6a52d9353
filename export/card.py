"""The model card: what the networks are, were made of, and can do."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import fill
from typing import Any, Final

from affectd.daemon.emotion.bundle import Bundle
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.export.figures import HEARD, JOINED, corpus_name
from affectd.train.corpora.kept_out import KEPT_OUT_SENTENCES, KEPT_OUT_SPEAKERS
from affectd.train.corpora.layouts import LAYOUTS
from affectd.train.corpora.sources import ENCODER
from affectd.train.encoder import BLOCKS
from affectd.train.evaluate import FOLDS, LEFT_OUT, TEST_ONLY

SHARE_ALIKE: Final = "CC BY-NC-SA 4.0"
# Licences of recordings whose networks may be passed on under SHARE_ALIKE.
COMPATIBLE: Final = {SHARE_ALIKE, "CC BY 4.0", "ODbL 1.0, contents DbCL 1.0"}
LANGUAGES: Final = {
    "ravdess": "English",
    "ravdess_song": "English",
    "cremad": "English",
    "tess": "English",
    "savee": "English",
    "nemo": "Polish",
    "emodb": "German",
    "emovo": "Italian",
    "banglaser": "Bangla",
    "indian": "Indian languages",
    "ased": "Amharic",
    "polish_students": "Polish",
    "emotiontts": "Korean",
}
UNKNOWN_LANGUAGE: Final = "not stated"
LIMITS: Final = """\
## Limits

- Most of the speech is acted, by adults, in few languages. affectd reads everyday speech, children,
  other languages and poor microphones less well.
- The calibration makes the confidence honest on average over corpora. For one person, room or
  language it can still be too high or too low.
- Voices differ. affectd reads a voice better once it has heard some utterances of it. It learns one
  voice a node: if several people take turns, it learns their mean.
- Only the sound counts: affectd does not know the words, irony or mixed feelings.
- An emotion that is derived from sound is a guess, and not a fact about a person. Do not decide
  about people by it. In the European Union, emotion recognition at work and in schools is
  prohibited (AI Act, article 5)."""


BEFORE: Final = ("nothing", "20 utterances", "20 neutral or calm ones")
LEFT_OUT_TEXT: Final = """\
UAR of CNN and LSTM together, in percent, on whole corpora from which they have not learnt. This is
the closest to a household, where people, rooms and microphones are all new. Only emotions that the
corpus has are told apart; chance is what guessing would give."""
TEST_ONLY_TEXT: Final = """\
The same for networks that learn from all of the training data. These corpora serve no other
purpose: no weight or threshold depends on them. train/README.md says which choices were made when
their figures had been seen."""


def card(bundle: Bundle, report: Mapping[str, Any]) -> str:
    """Write the card of a bundle in Markdown; report: of the networks' evaluation."""
    measured = report["systems"][JOINED]
    sections = [
        _networks(bundle),
        _licence(bundle),
        _training(bundle),
        _figures(bundle, report),
        *_by_corpus(measured, LEFT_OUT, "Left-out corpora", LEFT_OUT_TEXT),
        *_by_corpus(measured, TEST_ONLY, "Test-only corpora", TEST_ONLY_TEXT),
        _calibration(bundle, measured),
        _gate(bundle, report["gate"]),
        _parity(bundle),
        LIMITS,
    ]
    return "\n\n".join(sections) + "\n"


def _networks(bundle: Bundle) -> str:
    hop_ms = 1000 * bundle.features.hop / bundle.features.rate_hz
    parts = (
        "Two small networks, a CNN and an LSTM, tell from at most 3 s of speech *how* something "
        f"was said: {', '.join(EMOTIONS)}.",
        "They read the frames of a pretrained speech encoder: of Whisper tiny.en, the convolutions "
        f"and the first {max(BLOCKS)} transformer blocks ({ENCODER.licence} licence, OpenAI; "
        f"{ENCODER.citation}). It is frozen: affectd has not changed its weights, and only stores "
        f"them in int8. From {bundle.features.n_mfcc} MFCCs every {hop_ms:g} ms it makes "
        f"{bundle.encoder.width} values every {1000 * bundle.frame_s:g} ms. A third small network, "
        "the speech gate, reads the same frames and tells speech from other sounds. No network "
        "recognises words.",
        "`bundle.json` beside this file holds everything that is needed to run the networks alike. "
        f"It was made on {bundle.created} from commit `{bundle.commit}`.",
    )
    return _joined("# Model card: affectd's networks", *parts)


def _licence(bundle: Bundle) -> str:
    made_from = ", ".join(f"{corpus.name} ({corpus.licence})" for corpus in bundle.corpora)
    licences = {corpus.licence for corpus in bundle.corpora}
    if SHARE_ALIKE in licences and licences <= COMPATIBLE:
        offered = (
            f"They are therefore offered under **{SHARE_ALIKE}**: name the corpora, do not use "
            "the weights commercially, share alike."
        )
    else:
        offered = "Keep to all of these licences if you pass the weights on."
    return _section(
        "Licence",
        f"The weights of CNN and LSTM are made from {made_from}, those of the gate also from the "
        f"sounds in ATTRIBUTION.md. {offered} The encoder's "
        f"weights are under the {ENCODER.licence} licence, as is affectd's code. To get other "
        "weights, train on other recordings with `affectd train`.",
    )


def _training(bundle: Bundle) -> str:
    corpora = _table(
        ("corpus", "licence", "clips", "voices"),
        ((c.name, c.licence, c.clips, c.voices) for c in bundle.corpora),
    )
    citations = "\n".join(f"- {c.name}: {c.citation}" for c in bundle.corpora if c.citation)
    parts = [corpora, citations] if citations else [corpora]
    if LAYOUTS["cremad"].name in {corpus.name for corpus in bundle.corpora}:
        parts.append(
            f"The recordings of `affectd demo` are from CREMA-D. Its speakers "
            f"{', '.join(sorted(KEPT_OUT_SPEAKERS))} and its sentences "
            f"{' and '.join(sorted(KEPT_OUT_SENTENCES))}, whoever says them, are kept out of the "
            "training."
        )
    return _section(
        "Training data",
        *parts,
        "The networks also learn from each speaker in virtual voices: faster or slower, in other "
        "rooms, in noise, over a telephone. The gate also learns from sounds that are not speech.",
    )


def _figures(bundle: Bundle, report: Mapping[str, Any]) -> str:
    rows = (
        (name, *(_spread(of, f"uar_{key}") for key in HEARD)) for name, of in bundle.figures.items()
    )
    return _section(
        "Figures",
        "All figures are of people whom the networks do not know:",
        "\n".join(f"- {protocol}" for protocol in bundle.measured.protocols),
        "The networks in this folder have learnt from all of the training data, so none of their "
        "own figures on it could be honest: their recordings were read by networks that were "
        "fitted in the same way to less.",
        "Unweighted average recall (UAR) in percent on the folds of "
        f"{corpus_name(report['tested'])}, ± standard deviation over the seeds "
        f"({bundle.measured.seeds} seed(s), commit `{bundle.measured.commit}`), by what affectd "
        "has heard of a voice before:",
        _table(("networks", *BEFORE), rows),
        "`affectd train evaluate` makes these figures; train/README.md says how.",
    )


def _by_corpus(measured: Mapping[str, Any], protocol: str, title: str, text: str) -> Iterator[str]:
    """A section with a row for each corpus of a protocol, if it was measured."""
    if protocol not in measured:
        return
    rows: list[Sequence[object]] = []
    for key, of in measured[protocol]["corpora"].items():
        uar = (_percent(of["uar"][heard]["mean"]) for heard in HEARD)
        language = LANGUAGES.get(key, UNKNOWN_LANGUAGE)
        rows.append((corpus_name(key), language, of["clips"], _percent(of["chance"]), *uar))
    mean = measured[protocol]["mean"]
    rows.append(("mean", "", "", "", *(_percent(mean[heard]["mean"]) for heard in HEARD)))
    heads = ("corpus", "language", "clips", "chance", *BEFORE)
    yield _section(title, text, _table(heads, rows))


def _calibration(bundle: Bundle, measured: Mapping[str, Any]) -> str:
    where = (
        "the left-out corpora, read by networks that have not learnt from them; every corpus "
        "counts alike"
        if LEFT_OUT in measured
        else "the folds, read by networks that have not learnt from their speakers"
    )
    heads = ("networks", "temperature", "threshold of `unknown`", "threshold of sets", "coverage")
    rows = (
        (
            *(name, f"{c.temperature:.2f}", f"{c.threshold:.2f}", f"{c.conformal:.3f}"),
            _whole(c.coverage),
        )
        for name, c in bundle.calibration.items()
    )
    parts = [
        f"Temperature and thresholds come from {where}. An emotion is in the prediction set if its "
        "probability reaches the threshold of sets. The sets are made to hold the true emotion "
        "at the stated coverage.",
        _table(heads, rows),
    ]
    if doubt := measured.get("doubt"):
        names = {FOLDS: "folds", LEFT_OUT: "left-out corpora", TEST_ONLY: "test-only corpora"}
        parts += [
            "This is how honest the confidence of CNN and LSTM together is. No corpus has a say "
            "in the calibration that it is measured with; 20 utterances of a voice were heard "
            "before; the figures are means over the corpora:",
            _table(
                ("", "calibration error", "coverage", "set size", "`unknown`", "right, if known"),
                (_honesty(names[key], of) for key, of in doubt.items()),
            ),
        ]
    return _section("Calibration", *parts)


def _honesty(name: str, of: Mapping[str, float]) -> Sequence[object]:
    return (
        *(name, f"{of['ece']:.3f}", _whole(of["coverage"]), f"{of['set_size']:.1f}"),
        *(_whole(of["unknown"]), _whole(of["accuracy_if_known"])),
    )


def _gate(bundle: Bundle, gate: Mapping[str, Any]) -> str:
    household = gate["sounds"][gate["household"]]["passed_per_hour"]
    kept = {"unseen speakers, all utterances": gate["speech_kept"], **gate["kept_in_trials"]}
    return _section(
        "Speech gate",
        "The gate takes a sound for speech at a probability of "
        f"{bundle.gate.threshold:.3f} or more. This threshold lets half a household noise an hour "
        "through. With thresholds in which the measured noises had no say, "
        f"{household:.1f} passed in an hour of continuous noise. Of the utterances of speakers "
        "whom the gate does not know, it lets through:",
        _table(("speech", "passes"), ((name, f"{_percent(of)} %") for name, of in kept.items())),
        "`affectd train gate` makes these figures.",
    )


def _parity(bundle: Bundle) -> str:
    networks = {**bundle.networks, "speech gate": bundle.gate}
    formats = list(bundle.gate.parity)
    rows = (
        (name, *(f"{network.parity[form]:.1e}" for form in formats))
        for name, network in networks.items()
    )
    parts = [
        "Largest difference in probability to the Keras networks, on the utterances of the demo's "
        "recordings, by how the weights are stored:",
        _table(("network", *formats), rows),
    ]
    if "dynamic" in bundle.encoder.parity:
        parts.append(
            "On these utterances, weights in int8 change a value of the encoder's frames by "
            f"{bundle.encoder.parity['dynamic']:.2f} standard deviations (root mean square). The "
            "networks were fitted to frames of the encoder with these weights."
        )
    return _section("Conversion", *parts)


def _spread(figures: Mapping[str, float], key: str) -> str:
    std = figures[f"{key}_std"]
    return _percent(figures[key]) + (f" ± {_percent(std)}" if std else "")  # none of a single seed


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _whole(share: float) -> str:
    return f"{100 * share:.0f} %"


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _section(title: str, *parts: str) -> str:
    return _joined(f"## {title}", *parts)


def _joined(*parts: str) -> str:
    """Parts with an empty line between them; those of one line are wrapped."""
    return "\n\n".join(
        part if "\n" in part else fill(part, 100, break_long_words=False, break_on_hyphens=False)
        for part in parts
    )
