"""Meeting a feature: contexts, selection, logit effects, explanations."""
