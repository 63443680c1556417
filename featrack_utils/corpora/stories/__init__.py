"""The embedded text `stories`: a grammar of plots for children, written for this project."""
