"""Labelled recordings: how each publisher lays them out, and how to fetch them."""
