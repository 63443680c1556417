"""Features whose explanation is known, on random text: for tests of explainers and scores."""

import numpy as np
from scipy import sparse

from featrack_utils.dictionaries.features import Features

BLOCK = 40  # positions of a block; documents are one and a half blocks long
VOCABULARY = [f"w{k}" for k in range(20)]
AFTER = (7, 8)  # feature 6 answers to token 7 after token 8 alone
DEAD, LENGTH = 7, 8


def planted(n_documents: int = 48, seed: int = 0) -> Features:
    """Feature k < 6 is 1 + k at every token k; feature 6 is 2 at a pair; feature 7 is dead."""
    n = n_documents * BLOCK * 3 // 2
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, len(VOCABULARY), n).astype(np.int32)
    # Token 7 after token 8 is made common enough to be learnt.
    eights = np.flatnonzero(tokens[:-1] == AFTER[1])[::2]
    tokens[eights + 1] = AFTER[0]
    place = np.arange(n)
    origin = (place // (BLOCK * 3 // 2)).astype(np.int32)
    acts = np.zeros((n, LENGTH), np.float32)
    for k in range(6):
        acts[tokens == k, k] = 1 + k
    begins = (place % BLOCK == 0) | (np.diff(origin, prepend=-1) != 0)
    pair = (tokens == AFTER[0]) & (np.roll(tokens, 1) == AFTER[1]) & ~begins
    acts[pair, 6] = 2
    domain = np.repeat((place[::BLOCK] * 4 // n).astype(np.int8), BLOCK)
    return Features(sparse.csr_matrix(acts), origin, domain, tokens)
