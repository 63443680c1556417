"""Compiled inner loops over the few active features of a token; nothing here checks its input."""

import numpy as np
import torch
from jaxtyping import Float
from numba import njit
from scipy import sparse
from torch import Tensor


@njit(nogil=True, cache=True)
def _active(bits, words, room):
    """The positive entries of an array [n, d] without negative ones, row by row.

    Args:
        bits: the array, as integers of the same width.
        words: the same memory as 64-bit integers, so that several zeros are passed over at once.
        room: for how many entries.

    Returns:
        Where each row's entries begin ([n + 1]), their columns and their bits. If there is not
        enough room the last beginning is -1, and nothing of it is to be used.
    """
    per_word = bits.shape[1] // words.shape[1]
    begin = np.zeros(len(bits) + 1, np.int64)
    column = np.empty(room + per_word, np.int32)
    value = np.empty(room + per_word, bits.dtype)
    p = 0
    for t in range(len(bits)):
        for w in range(words.shape[1]):
            if words[t, w] != 0:
                if p > room:
                    begin[-1] = -1
                    return begin, column, value
                for j in range(w * per_word, (w + 1) * per_word):
                    column[p] = j
                    value[p] = bits[t, j]
                    p += bits[t, j] > 0
        begin[t + 1] = p
    return begin, column[:p], value[:p]


def active_entries(
    acts: Float[Tensor, "n d_sae"], room: int | None = None
) -> sparse.csr_matrix | None:
    """Non-negative features as a sparse matrix; None if more than `room` are active."""
    kind = torch.int16 if acts.dtype == torch.bfloat16 else torch.int32
    bits = acts.contiguous().view(kind).numpy()
    # A width that 64 bits don't divide is looked at entry by entry.
    words = bits if acts.shape[1] % 4 else bits.view(np.int64)
    begin, column, value = _active(bits, words, acts.numel() if room is None else room)
    if begin[-1] < 0:
        return None
    if kind == torch.int16:  # bfloat16 is the upper half of a float32
        value = value.astype(np.int32) << 16
    return sparse.csr_matrix((value.view(np.float32), column, begin), shape=tuple(acts.shape))


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def rebuild(begin, column, value, decoder, bias, out):
    """Each token's sum of decoder rows, times its features, on top of the bias: [n, d_in]."""
    for t in range(len(out)):
        row = out[t]
        for i in range(row.shape[0]):
            row[i] = bias[i]
        for p in range(begin[t], begin[t + 1]):
            direction, v = decoder[column[p]], value[p]
            for i in range(row.shape[0]):
                row[i] += v * direction[i]


# Feature by feature, so that its three rows stay in the cache, and two tokens at a time, so that
# they are written half as often.
@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def gradients(
    end, token, weight, x, down, decoder, lengths, price, active, to_encoder, to_bias, to_decoder
):
    """An autoencoder's summed features and the gradients of encoder rows, biases, decoder rows.

    The entries stand feature by feature: where each one's end, their tokens, their values.
    `down` [n, d_in] is the gradient of the reconstruction, `price` what a feature's activation
    costs by itself, times the length of its decoder row.
    """
    p = 0
    for j in range(len(decoder)):
        direction, encoder_row, decoder_row = decoder[j], to_encoder[j], to_decoder[j]
        cost = price * lengths[j]
        total = np.float32(0)
        for q in range(p, end[j]):
            total += weight[q]
        active[j] = total
        total *= price / max(lengths[j], np.float32(1e-12))
        for i in range(x.shape[1]):
            encoder_row[i] = 0
            decoder_row[i] = total * direction[i]
        bias = np.float32(0)
        while p < end[j]:
            other = min(p + 1, end[j] - 1)
            a_error, a_seen, a = down[token[p]], x[token[p]], weight[p]
            b_error, b_seen, b = down[token[other]], x[token[other]], weight[other]
            a_up = b_up = np.float32(0)
            for i in range(x.shape[1]):
                a_up += a_error[i] * direction[i]
                b_up += b_error[i] * direction[i]
            a_up += cost
            b_up += cost
            if other == p:
                b = b_up = np.float32(0)
            for i in range(x.shape[1]):
                encoder_row[i] += a_up * a_seen[i] + b_up * b_seen[i]
            for i in range(x.shape[1]):
                decoder_row[i] += a * a_error[i] + b * b_error[i]
            bias += a_up + b_up
            p += 2
        p = end[j]
        to_bias[j] = bias
