"""Definition (a) under other weights of the documents: its Bayesian bootstrap.

A bootstrap that draws documents loses a third of them in each replicate, and with them token
strings; but how many strings two features share decides how large their r is by chance. In the
Bayesian bootstrap (Rubin 1981) every document gets a random weight that is never zero: the
strings stay the same, and only a feature's mean activation on each of them varies. METHOD.md §5.
"""

import numpy as np
from numba import njit
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.matching.sums import shared_out, thread_count
from featrack_utils.matching.token_correlation import StringMatches

FAR = 5.0  # standard errors of r, by Fisher's z, from which a pair has no chance to exceed τ
TOGETHER = 8  # replicates at once: that many means are held for each string of each feature


def dirichlet(features: Features, replicates: int, seed: int) -> np.ndarray:
    """Weights of the documents, float64 [replicates, n_documents], with mean 1 in each domain.

    Documents of one group, where features have groups, share their weight.
    """
    unit = features.origin if features.group is None else features.group
    rng = np.random.default_rng(seed)
    weights = np.zeros((replicates, int(features.origin.max()) + 1))
    for domain in np.unique(features.domain):
        here = features.domain == domain
        documents, first = np.unique(features.origin[here], return_index=True)
        units, of_document = np.unique(unit[here][first], return_inverse=True)
        drawn = rng.dirichlet(np.ones(units.size), size=replicates) * units.size
        weights[:, documents] = drawn[:, of_document]
    return weights


def exceeded(
    a: sparse.csr_matrix,
    b: sparse.csr_matrix,
    tokens: np.ndarray,
    document: np.ndarray,
    weights: np.ndarray,
    found: StringMatches,
    tau: float,
    threads: int | None = None,
) -> np.ndarray:
    """Whether each feature of a has a match above τ in each replicate; bool [2, d_a, R].

    The second half is for twice the noise: each r √2 as far from that of `found`, in Fisher's z.

    `a` and `b` CSR [n_tokens, d]; `tokens` and `document` int [n_tokens]; `weights` float64
    [R, n_documents], positive where there are positions. Candidates are the pairs of `found` that
    aren't FAR below τ for the strings behind them, the closest first; the floor of `found` must
    lie so low that it leaves out none that has a chance.
    """
    pairs = found.best.pairs
    below = np.arctanh(tau) - np.arctanh(np.minimum(pairs.r, 1 - 1e-9))
    near = np.flatnonzero(below * np.sqrt(found.pair_shared) < FAR)
    order = near[np.lexsort((-pairs.r[near], pairs.i[near]))]
    starts = np.searchsorted(pairs.i[order], np.arange(a.shape[1] + 1))
    candidates = pairs.j[order].astype(np.int64)
    # Twice the noise exceeds τ where the noise at hand exceeds what lies so much nearer.
    z = np.arctanh(np.clip(pairs.r[order], -1 + 1e-9, 1 - 1e-9))
    nearer = np.tanh(z + (np.arctanh(tau) - z) / np.sqrt(2))
    thresholds = np.stack([np.full(order.size, tau), nearer], axis=1)
    rows = np.flatnonzero(np.diff(starts))
    threads = thread_count(threads)
    above = np.zeros((2, a.shape[1], len(weights)), bool)
    for at in range(0, len(weights), TOGETHER):
        some = np.ascontiguousarray(weights[at : at + TOGETHER].T)
        sides = [string_means(acts, tokens, document, some) for acts in (a, b)]
        parts = shared_out(
            _above,
            np.diff(starts),
            rows,
            threads,
            *sides,
            starts,
            candidates,
            int(tokens.max()) + 1,
            thresholds,
        )
        for part, answers in parts:
            above[:, part, at : at + TOGETHER] = answers
    return above


def string_means(
    acts: sparse.csr_matrix, tokens: np.ndarray, document: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted mean activation of each feature on each string where active, centred.

    `weights` float64 [n_documents, R]. Gives where each feature begins, int64 [d + 1]; its
    strings, int64 [n]; their means less the feature's mean over them, float64 [n, R].
    """
    columns = acts.tocsc()
    if not columns.data.all():
        columns.eliminate_zeros()
    pointers = columns.indptr.astype(np.int64)
    vocabulary = int(tokens.max()) + 1
    begins, strings = _strings(pointers, columns.indices, tokens, vocabulary)
    means = np.zeros((strings.size, weights.shape[1]))
    arrays = (pointers, columns.indices, columns.data, tokens, document, weights)
    _fill_means(*arrays, begins, strings, vocabulary, means)
    return begins, strings, means


@njit(nogil=True, cache=True)
def _strings(pointers, rows, tokens, vocabulary):
    """Where each feature's strings begin, and the strings, in the order first met."""
    begins = np.zeros(pointers.size, np.int64)
    met = np.full(vocabulary, -1)
    strings = np.empty(rows.size, np.int64)
    count = 0
    for i in range(pointers.size - 1):
        for p in range(pointers[i], pointers[i + 1]):
            string = tokens[rows[p]]
            if met[string] != i:
                met[string] = i
                strings[count] = string
                count += 1
        begins[i + 1] = count
    return begins, strings[:count].copy()


@njit(nogil=True, cache=True)
def _fill_means(
    pointers, rows, values, tokens, document, weights, begins, strings, vocabulary, means
):
    place = np.zeros(vocabulary, np.int64)
    size = weights.shape[1]
    total = np.zeros((vocabulary, size))
    middle = np.empty(size)
    for i in range(pointers.size - 1):
        start, stop = begins[i], begins[i + 1]
        for k in range(start, stop):
            place[strings[k]] = k
            total[k - start] = 0.0
        for p in range(pointers[i], pointers[i + 1]):
            k, of, value = place[tokens[rows[p]]], weights[document[rows[p]]], values[p]
            summed, weighed = means[k], total[k - start]
            for w in range(size):
                summed[w] += value * of[w]
                weighed[w] += of[w]
        middle[:] = 0.0
        for k in range(start, stop):
            for w in range(size):
                means[k, w] /= total[k - start, w]
                middle[w] += means[k, w]
        for k in range(start, stop):
            for w in range(size):
                means[k, w] -= middle[w] / (stop - start)


@njit(nogil=True, cache=True)
def _above(rows, a, b, starts, candidates, vocabulary, thresholds):
    """Whether features `rows` of a have a candidate above both of its thresholds, by replicate."""
    a_begins, a_strings, a_means = a
    b_begins, b_strings, b_means = b
    size = a_means.shape[1]
    above = np.zeros((2, rows.shape[0], size), np.bool_)
    place = np.full(vocabulary, -1)
    sums = np.empty((5, size))
    sx, sxx, sy, syy, sxy = sums[0], sums[1], sums[2], sums[3], sums[4]
    for k in range(rows.shape[0]):
        i = np.int64(rows[k])
        for p in range(a_begins[i], a_begins[i + 1]):
            place[a_strings[p]] = p
        for c in range(starts[i], starts[i + 1]):
            j = candidates[c]
            sums[:] = 0.0
            n = 0
            for q in range(b_begins[j], b_begins[j + 1]):
                p = place[b_strings[q]]
                if p >= 0:
                    n += 1
                    x, y = a_means[p], b_means[q]
                    for w in range(size):
                        sx[w] += x[w]
                        sxx[w] += x[w] * x[w]
                        sy[w] += y[w]
                        syy[w] += y[w] * y[w]
                        sxy[w] += x[w] * y[w]
            done = True
            for w in range(size):
                spread = (n * sxx[w] - sx[w] * sx[w]) * (n * syy[w] - sy[w] * sy[w])
                scale, product = np.sqrt(max(spread, 0.0)), n * sxy[w] - sx[w] * sy[w]
                for t in range(2):
                    if spread > 0.0 and product > thresholds[c, t] * scale:
                        above[t, k, w] = True
                    done &= above[t, k, w]
            if done:
                break
        for p in range(a_begins[i], a_begins[i + 1]):
            place[a_strings[p]] = -1
    return above
