"""Which feature of one model is which of another."""
