"""Automated interpretation: explain a feature, simulate it from the explanation, score that.

book/method.md, automated interpretation; the paper's Figure 6. Explanations come from counting
(`lookup`) or from a chat model (`chat`); both are scored alike (`score`).
"""
