"""The desktop stage: corpora, networks, fitting and evaluation."""
