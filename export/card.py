"""The model card: what the networks are, were made of, and can do."""

from collections.abc import Iterable, Sequence
from typing import Final

from affectd.daemon.emotion.bundle import Bundle
from affectd.daemon.emotion.labels import EMOTIONS

FIGURES: Final = ("uar", "accuracy", "macro_f1")
CARD: Final = """\
# Model card: affectd's default networks

Two small networks, a CNN and an LSTM, that tell from 3 s of speech *how* something was said:
{labels}.

They hear 40 MFCCs every 10 ms and know no words. `bundle.json` beside this file holds everything
that is needed to run them alike. It was made on {created} from commit `{commit}`.

## Licence

The weights are made from {licences}.
So they are offered under **CC BY-NC-SA 4.0**: name the corpus, do not use them commercially, share
alike. affectd's code is MIT; whoever needs other weights can train them with `affectd train` on
other recordings.

## Training data

| corpus | licence | clips | voices |
| --- | --- | --- | --- |
{corpora}

RAVDESS: Livingstone SR, Russo FA (2018), *The Ryerson Audio-Visual Database of Emotional Speech and
Song*, PLoS ONE 13(5): e0196391, https://doi.org/10.1371/journal.pone.0196391. North American
English, two sentences, acted.

## Figures

On actors that no part of the training, selection, normalisation or oversampling had heard: networks
of this design, fitted anew on each of {folds} actor-disjoint folds with {seeds} seeds, of {epochs}
epochs the best on validation actors; percent, ± standard deviation over the seeds (commit
`{measured}`). The networks in this folder were then fitted on all actors for {epochs} epochs, so
that no honest figure of their own can be had on this corpus.

| networks | UAR | accuracy | macro-F1 |
| --- | --- | --- | --- |
{figures}

`affectd train evaluate --ravdess DIR` makes these figures. People who listen to the same clips
agree with the actor's intention in about 67 % of them.

Largest difference in probability to the Keras networks, on {rows} real utterances:

| network | {formats} |
| --- | {rule} |
{parity}

## Calibration

Temperature, the threshold of `unknown` (the least confident tenth) and the conformal threshold
(nominally 90 % coverage) come from the validation actors of the same folds, which also chose the
epoch; so on voices never heard expect less than 90 %. Coverage on test actors is not measured yet.

| networks | temperature | threshold | conformal |
| --- | --- | --- | --- |
{calibration}

## Limits

Acted speech of 24 adults, recorded close in a quiet room, in one language. A voice, a room, a
language or an age unlike these is read less well, and often too surely. What is said is not heard;
irony and mixed feelings are not known to the networks. Emotions are derived from sound: they are a
guess, and not a fact about a person. Do not decide about people by it; in the European Union,
emotion recognition at work and in schools is prohibited (AI Act, article 5).
"""


def card(bundle: Bundle, rows: int) -> str:
    """Write the card of a bundle in Markdown; rows: utterances on which parity was measured."""
    formats = list(next(iter(bundle.networks.values())).parity)
    return CARD.format(
        labels=", ".join(EMOTIONS),
        folds=bundle.measured.folds,
        seeds=bundle.measured.seeds,
        epochs=bundle.measured.epochs,
        measured=bundle.measured.commit,
        created=bundle.created,
        commit=bundle.commit,
        licences=", ".join(f"{c.name} ({c.licence})" for c in bundle.corpora),
        corpora=_rows([c.name, c.licence, c.clips, c.voices] for c in bundle.corpora),
        figures=_rows(
            [name, *(f"{100 * f[k]:.1f} ± {100 * f[k + '_std']:.1f}" for k in FIGURES)]
            for name, f in bundle.figures.items()
        ),
        rows=rows,
        formats=" | ".join(formats),
        rule=" | ".join("---" for _ in formats),
        parity=_rows(
            [name, *(f"{network.parity[f]:.1e}" for f in formats)]
            for name, network in bundle.networks.items()
        ),
        calibration=_rows(
            [name, f"{c.temperature:.2f}", f"{c.threshold:.2f}", f"{c.conformal:.3f}"]
            for name, c in bundle.calibration.items()
        ),
    )


def _rows(rows: Iterable[Sequence[object]]) -> str:
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)
