"""Language models: training, loading, capture, merging, evaluation."""
