"""What dictionaries learn from: mixtures, and batches whose order a kill doesn't change."""

import itertools

import numpy as np
import pytest
import torch

from featrack_utils.dictionaries import activations
from featrack_utils.errors import FeatrackError
from featrack_utils.models.capture import plain_activations


def batches(plain_model, blocks, n, **given):
    stream = activations.activation_batches(
        activations.Buffers(plain_model, blocks), **{"batch_tokens": 64, "seed": 0, **given}
    )
    return list(itertools.islice(stream, n))


# The mixture


def test_a_mixture_takes_equal_shares_and_repeats_a_domain_that_is_too_small():
    big = np.full((100, 5), 1, dtype=np.int32)
    small = np.arange(3 * 5, dtype=np.int32).reshape(3, 5) + 100
    mixed = activations.training_mixture({"small": small, "big": big}, n_tokens=2 * 8 * 4)
    assert mixed.shape == (16, 5)
    assert (mixed == 1).all(1).sum() == 8
    counts = [(mixed == row).all(1).sum() for row in small]
    assert sorted(counts) == [2, 3, 3]


def test_a_mixture_does_not_depend_on_the_order_of_domains():
    domains = {"b": np.arange(40).reshape(10, 4), "a": 100 + np.arange(40).reshape(10, 4)}
    one, other = (
        activations.training_mixture(given, 30)
        for given in (domains, dict(reversed(domains.items())))
    )
    assert np.array_equal(one, other)


def test_a_child_reads_of_a_domain_what_its_parent_reads():
    numbers = np.arange(400, dtype=np.int32).reshape(100, 4)
    domains = {"old": numbers, "new": numbers + 1000}
    parent = activations.training_mixture({"old": numbers}, 30 * 3)
    child = activations.training_mixture(domains, 30 * 3)
    old = {row[0] for row in child if row[0] < 1000}
    assert len(parent) == 30 and len(old) == 15
    assert old < {row[0] for row in parent}


def test_a_mixture_without_a_block_of_a_domain_is_refused():
    with pytest.raises(FeatrackError, match="Domain lua has no whole block"):
        activations.training_mixture({"lua": np.zeros((0, 4), dtype=np.int32)}, 10)


# The stream of activations


def test_batches_hold_every_activation_once_a_round_but_those_at_position_0(
    plain_model, blocks, monkeypatch
):
    monkeypatch.setattr(activations, "BUFFER_BLOCKS", 32)
    expected = plain_activations(plain_model, torch.from_numpy(blocks).long())[:, 1:].reshape(
        -1, 24
    )
    got = torch.cat(batches(plain_model, blocks, 15 * 64 // 60, batch_tokens=60))
    assert got.shape == expected.shape
    in_order = [rows[torch.argsort(rows.sum(1))] for rows in (got, expected)]
    torch.testing.assert_close(*in_order, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(got, expected)


def test_equal_seeds_give_equal_batches_and_rounds_differ(plain_model, blocks):
    first, again, other = (batches(plain_model, blocks, 30, seed=seed) for seed in (7, 7, 8))
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))
    assert not torch.equal(first[0], first[15])


@pytest.mark.parametrize("skipped", [1, 7, 8, 20, 33])
def test_a_stream_that_skips_goes_on_with_the_very_next_batch(
    plain_model, blocks, monkeypatch, skipped
):
    monkeypatch.setattr(activations, "BUFFER_BLOCKS", 25)
    whole = batches(plain_model, blocks, skipped + 3)
    rest = batches(plain_model, blocks, 3, skip_batches=skipped)
    assert all(map(torch.equal, whole[skipped:], rest))


def test_a_batch_larger_than_the_buffer_is_refused_instead_of_waited_for(plain_model, blocks):
    assert len(batches(plain_model, blocks, 1, batch_tokens=960)[0]) == 960
    with pytest.raises(FeatrackError, match="batch_tokens is 961, but only 960"):
        batches(plain_model, blocks, 1, batch_tokens=961)


# Captured once


@pytest.mark.parametrize(("kept", "passes"), [(2**30, 2), (0, 4), (32 * 15 * 24 * 4, 3)])
def test_what_fits_into_memory_is_captured_once(plain_model, blocks, monkeypatch, kept, passes):
    monkeypatch.setattr(activations, "BUFFER_BLOCKS", 32)
    monkeypatch.setattr(activations, "KEPT_BYTES", kept)
    calls = []

    def counted(*given):
        calls.append(1)
        return plain_activations(*given)

    monkeypatch.setattr(activations, "plain_activations", counted)
    buffers = activations.Buffers(plain_model, blocks)
    first, again = ([buffers[i] for i in range(len(buffers))] for _ in range(2))
    assert len(first) == 2 and all(map(torch.equal, first, again))
    assert len(calls) == passes  # of 32 blocks each
