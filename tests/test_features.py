"""Features and quality of dictionaries that are set by hand, so that the answers are known."""

import numpy as np
import pytest
import torch
from sae_lens import StandardSAE, StandardSAEConfig
from scipy import sparse

from featrack_utils.corpora.tokenizer import Blocks
from featrack_utils.dictionaries.features import (
    Features,
    evaluation_mix,
    load_features,
    measure,
    save_features,
)
from featrack_utils.dictionaries.quality import (
    Sums,
    mean_quality,
    quality,
    splice_losses,
)
from featrack_utils.lineage import Lineage
from featrack_utils.models.capture import mlp_activations
from featrack_utils.models.loading import load_model
from tests.chapters import Chapter

D = 24
DOMAINS = ("news", "code", "lua", "python")


def dictionary(w_enc: torch.Tensor, w_dec: torch.Tensor) -> StandardSAE:
    sae = StandardSAE(StandardSAEConfig(d_in=D, d_sae=len(w_dec)))
    sae.load_state_dict(
        {"W_enc": w_enc, "W_dec": w_dec, "b_enc": torch.zeros(len(w_dec)), "b_dec": torch.zeros(D)}
    )
    return sae.eval()


@pytest.fixture
def identity():
    """Feature i is the positive part of neuron i, feature D + i the negative part."""
    eye = torch.eye(D)
    return dictionary(torch.cat([eye, -eye], 1), torch.cat([eye, -eye]))


@pytest.fixture
def nothing():
    """A dictionary whose features are never active and which reconstructs zeros."""
    return dictionary(torch.zeros(D, 2 * D), torch.zeros(2 * D, D))


@pytest.fixture
def mix(blocks):
    """5, 6, 7 and 8 blocks of the four domains; each block is an origin of its own."""
    origin = np.repeat(np.arange(8, dtype=np.int32)[:, None], 16, 1)
    counts = dict(zip(DOMAINS, (5, 6, 7, 8), strict=True))
    return evaluation_mix(
        {domain: Blocks(blocks[:n], origin[:n], origin[:n]) for domain, n in counts.items()}
    )


def test_a_mix_keeps_the_domains_in_order_and_their_origins_apart(mix, blocks):
    assert mix.tokens.shape == mix.origin.shape == (26, 16)
    assert mix.domain.tolist() == [0] * 5 + [1] * 6 + [2] * 7 + [3] * 8
    assert np.array_equal(mix.tokens[5:11], blocks[:6])
    assert mix.origin[:, 0].tolist() == list(range(26))


def test_a_mix_keeps_the_groups_of_domains_apart_and_features_remember_them(
    bridge, nothing, blocks, tmp_path
):
    origin = np.repeat(np.arange(6, dtype=np.int32)[:, None], 16, 1)
    mix = evaluation_mix({domain: Blocks(blocks[:6], origin, origin % 2) for domain in DOMAINS})
    assert mix.group[:, 0].tolist() == [0, 1] * 3 + [2, 3] * 3 + [4, 5] * 3 + [6, 7] * 3
    found, _ = measure(bridge, nothing, mix)
    assert np.array_equal(found.group, mix.group[:, 1:].ravel())
    save_features(found, tmp_path / "f.safetensors")
    assert np.array_equal(load_features(tmp_path / "f.safetensors").group, found.group)
    assert np.array_equal(found.at(found.domain == 3).group, found.group[found.domain == 3])
    assert found._replace(group=None).at(found.domain == 3).group is None


def test_the_identity_explains_everything_and_its_l0_is_the_number_of_neurons(
    bridge, identity, mix
):
    _, sums = measure(bridge, identity, mix)
    result = quality(sums, DOMAINS)
    assert result.variance_explained == pytest.approx(1, abs=1e-9)
    assert result.ce_loss_score == pytest.approx(1, abs=1e-4)
    # Every neuron is either above or below zero, so of each pair one feature is active.
    assert result.l0 == D
    assert result.density.shape == (2 * D,)
    np.testing.assert_allclose(result.density[:D] + result.density[D:], 1)
    assert result.dead_share == (result.density == 0).mean()
    assert result.dense_share == (result.density > 0.1).mean()


def test_features_are_the_models_activations_at_every_position_but_the_first(bridge, identity, mix):
    found, _ = measure(bridge, identity, mix)
    acts = mlp_activations(bridge, torch.from_numpy(mix.tokens).long())[:, 1:].reshape(-1, D)
    dense = found.acts.toarray()
    assert dense.dtype == np.float32 and dense.min() == 0
    np.testing.assert_allclose(dense[:, :D] - dense[:, D:], acts, rtol=1e-4, atol=1e-6)
    assert np.array_equal(found.tokens, mix.tokens[:, 1:].ravel())
    assert np.array_equal(found.origin, np.repeat(np.arange(26), 15))
    assert np.array_equal(found.domain, np.repeat(mix.domain, 15))
    assert (found.domain.dtype, found.origin.dtype, found.tokens.dtype) == (
        np.int8,
        np.int32,
        np.int32,
    )


def test_a_dictionary_of_nothing_is_all_dead_and_no_better_than_no_mlp(bridge, nothing, mix):
    found, sums = measure(bridge, nothing, mix)
    result = quality(sums, DOMAINS)
    assert result.ce_loss_score == 0
    assert (result.l0, result.dead_share, result.dense_share) == (0, 1, 0)
    assert result.variance_explained <= 0
    assert found.acts.nnz == 0 and found.acts.shape == (26 * 15, 2 * D)


def test_a_dictionary_that_knows_the_mean_alone_explains_no_variance(bridge, nothing, mix):
    x = mlp_activations(bridge, torch.from_numpy(mix.tokens).long())[:, 1:].reshape(-1, D)
    nothing.b_dec.data = x.mean(0)
    _, sums = measure(bridge, nothing, mix)
    assert quality(sums, DOMAINS).variance_explained == pytest.approx(0, abs=1e-6)


def test_spliced_losses_are_clean_zeroed_and_reconstructed(
    bridge, identity, nothing, model_folder, blocks
):
    tokens = torch.from_numpy(blocks[:4]).long()
    clean, zero, spliced = splice_losses(bridge, identity, tokens).tolist()
    assert spliced == pytest.approx(clean, rel=1e-5)
    assert zero > clean + 0.1
    assert splice_losses(bridge, nothing, tokens)[2] == zero
    with torch.no_grad():
        logits = load_model(model_folder)(input_ids=tokens).logits[:, 1:-1]
    expected = torch.nn.functional.cross_entropy(
        logits.reshape(-1, 280), tokens[:, 2:].reshape(-1), reduction="sum"
    )
    assert clean == pytest.approx(expected.item(), rel=1e-5)


def test_a_dictionary_never_sees_position_0_when_it_is_spliced_in(bridge, identity, blocks):
    tokens = torch.from_numpy(blocks[:4]).long()
    lengths = []
    encode = identity.encode
    identity.encode = lambda x: lengths.append(x.shape[1]) or encode(x)
    splice_losses(bridge, identity, tokens)
    assert lengths == [15]


def test_domains_add_up_to_the_whole(bridge, identity, mix):
    _, sums = measure(bridge, identity, mix)
    assert sums.count.tolist() == [5 * 15, 6 * 15, 7 * 15, 8 * 15]
    each = [quality(sums, [domain]) for domain in DOMAINS]
    whole = quality(sums, DOMAINS)
    parts = np.average([one.density for one in each], axis=0, weights=[5, 6, 7, 8])
    np.testing.assert_allclose(whole.density, parts)


def test_quality_of_sums_by_hand():
    sums = Sums.empty(DOMAINS, 2, 4)
    # Two tokens (1, 0) and (3, 0), mean (2, 0): total 2; one is missed by 1: residual 1.
    x = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    acts = torch.tensor([[1.0, 0, 0, 0], [1.0, 2.0, 0, 0]])
    sums.add(2, x, acts, torch.tensor([[1.0, 0.0], [2.0, 0.0]]))
    sums.losses[2] = torch.tensor([10.0, 20.0, 12.0])
    result = quality(sums, ["lua"])
    assert result.variance_explained == 0.5
    assert result.ce_loss_score == 0.8
    assert (result.l0, result.dead_share, result.dense_share) == (1.5, 0.5, 0.5)
    assert result.density.tolist() == [1, 0.5, 0, 0]
    # Each token's largest neuron holds all of its length, of 10 squares in all, total 2.
    assert result.neuron_variance_explained == 1


def test_the_largest_neurons_of_each_token_explain_what_numpy_says(bridge, identity, mix):
    _, sums = measure(bridge, identity, mix)
    half = sums.active.clone()
    half[:, 5:D] = 0  # a dictionary with fewer active features than neurons
    sums.active = half
    tokens = torch.from_numpy(mix.tokens[mix.domain > 1]).long()
    x = mlp_activations(bridge, tokens)[:, 1:].reshape(-1, D).double().numpy()
    result = quality(sums, DOMAINS[2:])

    def kept(k):
        threshold = np.sort(np.abs(x), axis=1)[:, [D - k]]
        rest = np.where(np.abs(x) >= threshold, 0, x)
        return 1 - (rest**2).sum() / ((x - x.mean(0)) ** 2).sum()

    whole, part = divmod(result.l0, 1)
    assert 8 < whole < 16 and 0 < part < 1
    expected = (1 - part) * kept(int(whole)) + part * kept(int(whole) + 1)
    assert result.neuron_variance_explained == pytest.approx(expected, rel=1e-9)


def test_neurons_as_many_as_there_are_explain_all_and_none_less_than_the_mean(
    bridge, identity, nothing, mix
):
    every, none = (quality(measure(bridge, sae, mix)[1]) for sae in (identity, nothing))
    assert every.l0 == D and every.neuron_variance_explained == pytest.approx(1, abs=1e-9)
    assert none.neuron_variance_explained == pytest.approx(none.variance_explained)


def test_sums_and_features_come_back_as_they_were_saved(bridge, identity, mix, tmp_path):
    found, sums = measure(bridge, identity, mix)
    sums.save(tmp_path / "sums.safetensors")
    save_features(found, tmp_path / "features.safetensors")
    again = Sums.load(tmp_path / "sums.safetensors")
    assert again.domains == sums.domains == DOMAINS
    tensors = {name: value for name, value in vars(sums).items() if name != "domains"}
    assert all(torch.equal(value, getattr(again, name)) for name, value in tensors.items())
    loaded = load_features(tmp_path / "features.safetensors")
    assert loaded.acts.shape == found.acts.shape
    assert (loaded.acts != found.acts).nnz == 0
    for name in ("origin", "domain", "tokens"):
        one, other = getattr(loaded, name), getattr(found, name)
        assert np.array_equal(one, other) and one.dtype == other.dtype


def test_features_without_any_activation_come_back_too(tmp_path):
    label = np.zeros(3, dtype=np.int32)
    empty = Features(
        sparse.csr_matrix((3, 5), dtype=np.float32), label, label.astype(np.int8), label
    )
    save_features(empty, tmp_path / "f.safetensors")
    assert load_features(tmp_path / "f.safetensors").acts.shape == (3, 5)


def test_an_mlp_is_worth_what_the_loss_grows_by_without_it():
    sums = Sums.empty(DOMAINS, 2, 4)
    sums.count[:], sums.ranked[:, 0] = 10, 1
    sums.losses[DOMAINS.index("lua")] = torch.tensor([2.0, 3.0, 2.2])
    sums.losses[DOMAINS.index("python")] = torch.tensor([4.0, 3.0, 3.9])
    assert quality(sums, ["lua"]).mlp_worth == 0.5
    assert quality(sums, ["python"]).mlp_worth == -0.25
    assert quality(sums, ["lua", "python"]).mlp_worth == 0


def test_mean_quality_is_the_mean_over_dictionaries(tmp_path):
    for name, active in (("a", 2.0), ("b", 4.0)):
        sums = Sums.empty(DOMAINS, 1, 2)
        sums.count[0], sums.ranked[0, 0], sums.residual[0] = 10, 8, active
        sums.active[0] = torch.tensor([10 * active, 0])
        (tmp_path / "features" / name).mkdir(parents=True)
        sums.save(tmp_path / "features" / name / "sums.safetensors")
    # L0 2 and 4; of the squares 8 a residual of 2 and of 4.
    assert mean_quality(tmp_path, ("a", "b")) == {"l0": 3.0, "variance_explained": 0.625}


def test_a_models_own_domains_are_those_it_or_its_merged_parents_learned_last():
    lineage = Lineage(
        {
            "root": {"load": "elsewhere", "reads": ["news", "code"]},
            "a": {"parent": "root", "train": ["lua"]},
            "b": {"parent": "a", "train": ["python"]},
            "m": {"merge": ["b", "a"], "method": "linear"},
            "n": {"merge": ["m", "root"], "method": "linear"},
            "given": {"load": "somewhere", "parent": "b"},
        }
    )
    chapter = Chapter("dictionaries")
    own = {model: chapter.own_domains(lineage, model) for model in lineage.order}
    assert own["root"] == ("news", "code")
    assert (own["a"], own["b"], own["m"]) == (("lua",), ("python",), ("lua", "python"))
    assert own["n"] == ("news", "code", "lua", "python")
    assert own["given"] == ("python",)


def test_a_score_is_left_out_where_the_mlp_is_of_no_use():
    sums = Sums.empty(DOMAINS, 2, 4)
    sums.count[:], sums.ranked[:, 0] = 10, 1
    sums.losses[0] = torch.tensor([2.0, 3.0, 2.2])
    sums.losses[1] = torch.tensor([4.0, 3.9, 3.8])  # harm
    sums.losses[2] = torch.tensor([4.0, 4.01, 4.5])  # next to nothing
    scores = [quality(sums, [domain]).meaningful_score for domain in DOMAINS[:3]]
    assert scores == [pytest.approx(0.8), None, None]
