"""Sparse autoencoders: training, features, quality."""
