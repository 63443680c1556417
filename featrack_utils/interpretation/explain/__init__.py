"""Explain a feature, simulate it from the explanation, score that (book/method.md)."""
