"""The networks: are they whole, which are they, and how long does a reading take here?"""

import time
from collections.abc import Iterator
from statistics import median
from typing import Final

import numpy as np

from affectd.daemon.doctor.case import Case
from affectd.daemon.doctor.finding import Finding, Problem, well, wrong
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.errors import BundleError
from affectd.daemon.speech.mfcc import mfcc
from affectd.daemon.wiring import classifier_of

READINGS: Final = 11
# A tenth of the longest utterance, for all nodes together: they take turns.
SLOW_MS: Final = 300.0


def check(case: Case) -> Iterator[Finding]:
    """Load the networks as the service does, and read noise with them."""
    try:
        classifier = classifier_of(case.settings)
    except BundleError as error:
        yield wrong("bundle", Problem.BUNDLE_BROKEN, str(error))
        return
    yield judge(classifier, reading_ms(classifier), len(case.settings.nodes()))


def judge(classifier: Classifier, latency_ms: float, nodes: int) -> Finding:
    """latency_ms: of one reading; nodes: that share the networks."""
    bundle = classifier.bundle
    facts = {
        "created": bundle.created,
        "commit": bundle.commit,
        "networks": classifier.model,
        "latency_ms": round(latency_ms, 2),
    }
    told = (
        f"{classifier.model} of {bundle.created} ({bundle.commit[:7]}), whole; "
        f"a reading takes {latency_ms:.1f} ms"
    )
    if nodes * latency_ms > SLOW_MS:
        limit = f"for {nodes} node(s) it should be below {SLOW_MS / nodes:.0f} ms"
        return wrong("bundle", Problem.BUNDLE_SLOW, f"{told}; {limit}", **facts)
    return well("bundle", told, **facts)


def reading_ms(classifier: Classifier) -> float:
    """How long a reading takes, encoder included: median of READINGS, the first left out."""
    spec, statistics = classifier.bundle.features, classifier.bundle
    mean_std = np.array(statistics.mean), np.array(statistics.std)
    noise = np.random.default_rng(0).normal(0, 0.1, spec.samples)
    features = mfcc(noise.astype(np.float32), spec)
    times_ms = []
    for _ in range(1 + READINGS):
        began_s = time.perf_counter()
        classifier.read(classifier.encode(features, spec.n_frames), mean_std)
        times_ms.append(1000 * (time.perf_counter() - began_s))
    return median(times_ms[1:])
