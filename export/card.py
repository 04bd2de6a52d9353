"""The model card: what the networks are, were made of, and can do."""

from collections.abc import Iterator, Mapping
from textwrap import fill
from typing import Any, Final

from affectd.daemon.emotion.bundle import Bundle
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.export.figures import SYSTEMS, corpus_name
from affectd.train.corpora.layouts import LAYOUTS
from affectd.train.corpora.sources import ENCODER
from affectd.train.fits import HEARD_BY_NODE
from affectd.train.passing import NOISE_PER_HOUR
from affectd.train.predictions import FOLDS, LEFT_OUT, TEST_ONLY
from affectd.train.runs import JOINED
from affectd.train.tables import (
    COLUMNS,
    GATE,
    LANGUAGES,
    calibrating,
    counted,
    grid,
    percent,
    spread,
)

SHARE_ALIKE: Final = "CC BY-NC-SA 4.0"
# Licences of recordings whose networks may be passed on under SHARE_ALIKE.
COMPATIBLE: Final = {SHARE_ALIKE, "CC BY 4.0", "ODbL 1.0, contents DbCL 1.0"}
UNKNOWN_LANGUAGE: Final = "not stated"
LIMITS: Final = """\
## Limits

- Most published recordings of emotions are acted, by adults, in few languages. Nothing here says
  how well affectd reads everyday speech, children, or languages that are not listed.
- The calibration is an average. For one person, room or language the confidence can be too high or
  too low.
- affectd learns one voice a node: if several people take turns, it learns their mean.
- Only the sound counts: affectd does not know the words, irony or mixed feelings.
- An emotion that is derived from sound is a guess, and not a fact about a person. Do not decide
  about people by it. In the European Union, emotion recognition at work and in schools is
  prohibited (AI Act, article 5)."""

LEFT_OUT_TEXT: Final = """\
UAR of CNN and LSTM together, in percent, on whole corpora from which they have not learnt. As in a
household, people, rooms and microphones are all new. Only emotions that the corpus has are told
apart; chance is what guessing would give."""
TEST_ONLY_TEXT: Final = """\
The same for networks that learn from all of the training data. These corpora serve no other
purpose: no weight or threshold depends on them. train/README.md says which choices were made when
their figures had been seen."""


def card(bundle: Bundle, report: Mapping[str, Any]) -> str:
    """Write the card of a bundle in Markdown; report: of the networks' evaluation."""
    measured = report["systems"][JOINED]
    sections = [
        _networks(bundle, report["encoder"]),
        _licence(bundle),
        _training(bundle, report),
        _figures(bundle, report),
        *_by_corpus(measured, LEFT_OUT, "Left-out corpora", LEFT_OUT_TEXT),
        *_by_corpus(measured, TEST_ONLY, "Test-only corpora", TEST_ONLY_TEXT),
        _calibration(bundle, measured),
        _gate(bundle, report[GATE]),
        _parity(bundle),
        LIMITS,
    ]
    return "\n\n".join(sections) + "\n"


def _networks(bundle: Bundle, encoder: Mapping[str, Any]) -> str:
    hop_ms = 1000 * bundle.features.hop / bundle.features.rate_hz
    parts = (
        "Two small networks, a CNN and an LSTM, tell from at most "
        f"{bundle.encoder.frames * bundle.frame_s:g} s of speech *how* something was said: "
        f"{', '.join(EMOTIONS)}.",
        "They read the frames of a pretrained speech encoder: of Whisper tiny.en, the convolutions "
        f"and the first {counted(max(encoder['blocks']), 'transformer block')} ({ENCODER.licence} "
        f"licence, OpenAI; {ENCODER.citation}). It is frozen: affectd has not trained it any "
        f"further. From {bundle.features.n_mfcc} MFCCs every {hop_ms:g} ms it makes "
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
        f"The weights of CNN and LSTM are made from {made_from}, with other sounds and rooms laid "
        "on the voices. The gate also learns from other sounds and, where some was given, from "
        "plain speech. For affectd's own networks ATTRIBUTION.md names these recordings. "
        f"{offered} The encoder's weights are under the "
        f"{ENCODER.licence} licence, as is affectd's code. To get other weights, train on other "
        "recordings with `affectd train`.",
    )


def _training(bundle: Bundle, report: Mapping[str, Any]) -> str:
    corpora = grid(
        ("corpus", "licence", "clips", "voices"),
        ((c.name, c.licence, c.clips, c.voices) for c in bundle.corpora),
    )
    citations = "\n".join(f"- {c.name}: {c.citation}" for c in bundle.corpora if c.citation)
    parts = [corpora, citations] if citations else [corpora]
    if LAYOUTS["cremad"].name in {corpus.name for corpus in bundle.corpora}:
        kept_out = report["kept_out"]
        parts.append(
            "The recordings of `affectd demo` are from CREMA-D. Its speakers "
            f"{', '.join(kept_out['speakers'])} and its sentences "
            f"{' and '.join(kept_out['sentences'])}, whoever says them, are kept out of the "
            "training."
        )
    return _section(
        "Training data",
        *parts,
        "The networks also learn from each speaker in virtual voices: faster or slower, in other "
        "rooms, in noise, over a telephone.",
    )


def _figures(bundle: Bundle, report: Mapping[str, Any]) -> str:
    uars = {name: report["systems"][name]["uar"] for name in SYSTEMS}
    return _section(
        "Figures",
        "All figures are of people whom the networks do not know, and of networks fitted with "
        f"{counted(bundle.measured.seeds, 'seed')} (commit `{bundle.measured.commit}`):",
        "\n".join(f"- {protocol}" for protocol in bundle.measured.protocols),
        "The networks in this folder have learnt from all of the training data, so none of their "
        "own figures on it could be honest: their recordings were read by networks that were "
        "fitted in the same way to less.",
        "Unweighted average recall (UAR) in percent on the folds of "
        f"{corpus_name(report['tested'])}, with ± standard deviation if there are several seeds, "
        "by how many utterances affectd has heard of a voice before:",
        grid(
            ("networks", *COLUMNS.values()),
            ((name, *(spread(uar[key]) for key in COLUMNS)) for name, uar in uars.items()),
        ),
        "`affectd train evaluate` makes these figures; train/README.md says how.",
    )


def _by_corpus(measured: Mapping[str, Any], protocol: str, title: str, text: str) -> Iterator[str]:
    """A section with a row for each corpus of a protocol, if it was measured."""
    if protocol not in measured:
        return

    def uars(uar: Mapping[str, Any]) -> Iterator[str]:
        return (percent(uar[key]["mean"]) for key in COLUMNS)

    rows = [
        (
            *(corpus_name(key), LANGUAGES.get(key, UNKNOWN_LANGUAGE), of["clips"]),
            *(percent(of["chance"]), *uars(of["uar"])),
        )
        for key, of in measured[protocol]["corpora"].items()
    ]
    rows.append(("mean", "", "", "", *uars(measured[protocol]["mean"])))
    yield _section(
        title, text, grid(("corpus", "language", "clips", "chance", *COLUMNS.values()), rows)
    )


def _calibration(bundle: Bundle, measured: Mapping[str, Any]) -> str:
    heads = ("networks", "temperature", "threshold of `unknown`", "threshold of sets", "coverage")
    rows = (
        (
            *(name, f"{c.temperature:.2f}", f"{c.threshold:.2f}", f"{c.conformal:.3f}"),
            _whole(c.coverage),
        )
        for name, c in bundle.calibration.items()
    )
    parts = [
        f"Temperature and thresholds come from the {calibrating(measured)}, each read by networks "
        "that have not learnt from its speakers; all of them count alike. An emotion is in the "
        "prediction set if its probability reaches the threshold of sets. The sets are made to "
        "hold the true emotion at the stated coverage.",
        grid(heads, rows),
    ]
    if doubt := measured.get("doubt"):
        names = {FOLDS: "folds", LEFT_OUT: "left-out corpora", TEST_ONLY: "test-only corpora"}
        parts += [
            "This is how honest the confidence of CNN and LSTM together is. No corpus has a say "
            f"in the calibration that it is measured with; {HEARD_BY_NODE} utterances of a voice "
            "were heard before; the figures are means over the corpora:",
            grid(
                ("", "calibration error", "coverage", "set size", "`unknown`", "right, if known"),
                (_honesty(names[key], of) for key, of in doubt.items()),
            ),
        ]
    return _section("Calibration", *parts)


def _honesty(name: str, of: Mapping[str, float]) -> tuple[str, ...]:
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
        f"{bundle.gate.threshold:.4f} or more. At this threshold one household noise in "
        f"{1 / NOISE_PER_HOUR:g} hours would pass, as estimated from the noises most like speech. "
        "Gates fitted with "
        f"{counted(gate['seeds'], 'seed')} were measured with thresholds in which the noises that "
        f"they were measured with had no say: {household:.1f} passed in an hour of continuous "
        "noise. Of the utterances of speakers whom they did not know, they let through:",
        grid(("speech", "passes"), ((name, f"{percent(of)} %") for name, of in kept.items())),
        "`affectd train gate` makes these figures.",
    )


def _parity(bundle: Bundle) -> str:
    networks = {**bundle.networks, "speech gate": bundle.gate}
    formats = list(bundle.gate.parity)
    rows = (
        (name, *(f"{network.parity[form]:.1e}" for form in formats))
        for name, network in networks.items()
    )
    return _section(
        "Conversion",
        "Largest difference in probability to the Keras networks, on the utterances of the demo's "
        "recordings, by how the weights are stored (dynamic: int8 with float32 activations):",
        grid(("network", *formats), rows),
        *(
            f"On these utterances, {form} weights change a value of the encoder's frames by "
            f"{change:.2f} standard deviations (root mean square). The networks were fitted to "
            "frames of the encoder with these weights."
            for form, change in bundle.encoder.parity.items()
        ),
    )


def _whole(share: float) -> str:
    return f"{100 * share:.0f} %"


def _section(title: str, *parts: str) -> str:
    return _joined(f"## {title}", *parts)


def _joined(*parts: str) -> str:
    """Parts with an empty line between them; those of one line are wrapped."""
    return "\n\n".join(
        part if "\n" in part else fill(part, 100, break_long_words=False, break_on_hyphens=False)
        for part in parts
    )
