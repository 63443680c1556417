"""The domains' texts: where they come from, how they are kept apart, how they become tokens."""
