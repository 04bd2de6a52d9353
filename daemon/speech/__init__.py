"""Samples become utterances, and utterances become features."""
