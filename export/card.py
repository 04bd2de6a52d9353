"""The model card: what the networks are, were made of, and can do."""

from collections.abc import Iterable, Sequence
from typing import Final

from affectd.daemon.emotion.bundle import Bundle
from affectd.daemon.emotion.labels import EMOTIONS

SHARE_ALIKE: Final = "CC BY-NC-SA 4.0"
OPEN_DATA: Final = "ODbL 1.0, contents DbCL 1.0"
HEARD: Final = ("heard_0", "heard_20", "heard_20_neutral")
CARD: Final = """\
# Model card: affectd's default networks

Two small networks, a CNN and an LSTM, that tell from 3 s of speech *how* something was said:
{labels}.

They hear {n_mfcc} MFCCs every {hop_ms:g} ms and know no words. `bundle.json` beside this file
holds everything that is needed to run them alike. It was made on {created} from commit `{commit}`.

## Licence

The weights are made from {licences}.
{offered} affectd's code is MIT; whoever needs other weights can train them with `affectd train`
on other recordings.

## Training data

| corpus | licence | clips | voices |
| --- | --- | --- | --- |
{corpora}

{citations}

Every speaker is also heard in virtual voices: faster or slower, in other rooms, in noise, at other
levels.

## Figures

On speakers of {tested} that no part of the training, normalisation, balancing or calibration had
heard: networks of this design, fitted anew on each of {folds} folds of speakers with {seeds} seeds
for {epochs} epochs; UAR in percent, ± standard deviation over the seeds (commit `{measured}`), by
how many utterances of the voice were heard before. The networks in this folder were then fitted
alike on all speakers, so that no honest figure of their own can be had on this corpus.

| networks | nothing heard | 20 heard | 20 neutral or calm ones heard |
| --- | --- | --- | --- |
{figures}

`affectd train evaluate` makes these figures; train/README.md says how.

Largest difference in probability to the Keras networks, on {rows} real utterances:

| network | {formats} |
| --- | {rule} |
{parity}

## Calibration

Temperature, the threshold of `unknown` (the least confident tenth) and the conformal threshold
(90 % coverage) come from validation speakers of the same folds, on whom no weight depends. On test
speakers, each fold calibrated on its own validation speakers:

| networks | temperature | threshold | conformal | error | coverage | worst speaker | set size |
| --- | --- | --- | --- | --- | --- | --- | --- |
{calibration}

The speech gate lets {speech_kept} % of the utterances of unseen speakers through, at a probability
of {gate} or more; `affectd train gate` measures that, on the same folds.

## Limits

Acted speech of adults, recorded close and quietly, and few languages. A voice, a room, a language
or an age unlike these is read less well, and often too surely. What is said is not heard; irony and
mixed feelings are not known to the networks. Emotions are derived from sound: they are a guess, and
not a fact about a person. Do not decide about people by it; in the European Union,
emotion recognition at work and in schools is prohibited (AI Act, article 5).
"""


def card(bundle: Bundle, rows: int) -> str:
    """Write the card of a bundle in Markdown; rows: utterances on which parity was measured."""
    formats = list(next(iter(bundle.networks.values())).parity)
    return CARD.format(
        labels=", ".join(EMOTIONS),
        n_mfcc=bundle.features.n_mfcc,
        hop_ms=1000 * bundle.features.hop / bundle.features.rate_hz,
        offered=_offered([corpus.licence for corpus in bundle.corpora]),
        tested=bundle.corpora[0].name,
        folds=bundle.measured.folds,
        seeds=bundle.measured.seeds,
        epochs=bundle.measured.epochs,
        measured=bundle.measured.commit,
        created=bundle.created,
        commit=bundle.commit,
        licences=", ".join(f"{c.name} ({c.licence})" for c in bundle.corpora),
        citations="\n".join(f"- {c.name}: {c.citation}" for c in bundle.corpora),
        corpora=_rows([c.name, c.licence, c.clips, c.voices] for c in bundle.corpora),
        figures=_rows(
            [name, *(f"{100 * f[f'uar_{k}']:.1f} ± {100 * f[f'uar_{k}_std']:.1f}" for k in HEARD)]
            for name, f in bundle.figures.items()
        ),
        rows=rows,
        formats=" | ".join(formats),
        rule=" | ".join("---" for _ in formats),
        parity=_rows(
            [name, *(f"{network.parity[f]:.1e}" for f in formats)]
            for name, network in {**bundle.networks, "speech": bundle.gate}.items()
        ),
        calibration=_rows(
            [
                name,
                f"{c.temperature:.2f}",
                f"{c.threshold:.2f}",
                f"{c.conformal:.3f}",
                *_measured(bundle.figures[name]),
            ]
            for name, c in bundle.calibration.items()
        ),
        speech_kept=f"{100 * next(iter(bundle.figures.values()))['speech_kept']:.1f}",
        gate=f"{bundle.gate.threshold:.3f}",
    )


def _offered(licences: Sequence[str]) -> str:
    """Under what the weights may be passed on."""
    if SHARE_ALIKE in licences and set(licences) <= {SHARE_ALIKE, OPEN_DATA}:
        return (
            f"So they are offered under **{SHARE_ALIKE}**: name the corpora, do not use them\n"
            "commercially, share alike."
        )
    return "Whoever passes them on must keep to all of these licences."


def _measured(figures: dict[str, float]) -> list[str]:
    """Calibration error, coverage over actors, of the worst one, and size of the sets."""
    return [
        f"{figures['ece']:.3f}",
        f"{100 * figures['coverage_mean']:.1f} %",
        f"{100 * figures['coverage_min_actor']:.0f} %",
        f"{figures['set_size']:.2f}",
    ]


def _rows(rows: Iterable[Sequence[object]]) -> str:
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)
