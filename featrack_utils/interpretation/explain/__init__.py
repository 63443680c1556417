"""Automated interpretation: explain a feature, simulate it from the explanation, score that.

METHOD.md §7; the paper's Figure 6. Explanations come from counting (`lookup`, `sentences`) or from
a chat model behind an endpoint (`remote`), and all are scored alike (`judge`, `score`).
"""
