"""The first look: divergences, shrunken means, directions, and the chapter on a copied parent."""

import numpy as np
import pytest
import torch
from scipy.special import rel_entr

from featrack_utils.pipeline import store
from tests.chapters import Chapter
from tests.test_lineage_phases import BASE, FINETUNE, chapter, make_run  # noqa: F401 (a fixture)

LOOK = Chapter("first-look")


def test_the_divergence_is_scipys_and_has_a_direction():
    q, p = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    logits_q, logits_p = (torch.tensor(np.log(x))[None] for x in (q, p))
    forth, back = LOOK.kl(logits_q, logits_p).item(), LOOK.kl(logits_p, logits_q).item()
    assert forth == pytest.approx(rel_entr(q, p).sum())
    assert back == pytest.approx(rel_entr(p, q).sum())
    assert forth > back + 0.1


def test_rare_units_are_drawn_to_the_mean_and_frequent_ones_are_not():
    rng = np.random.default_rng(0)
    truth = rng.normal(5, 1, size=400)
    times = np.where(np.arange(400) < 200, 2, 200)
    unit = np.repeat(np.arange(400), times)
    seen = rng.normal(truth[unit], 4)
    plain = np.bincount(unit, seen) / times
    drawn = LOOK.shrunken(seen, unit, np.ones(unit.size))
    # With σ² = 16 within and 1 between, k = 16.
    best = (times * plain + 16 * 5) / (times + 16)
    assert np.abs(drawn - best).max() < 0.6
    rare = times == 2
    assert ((drawn - truth)[rare] ** 2).mean() < ((plain - truth)[rare] ** 2).mean() / 4
    # Among the extremes of the plain means all are rare; they are hardly so among the shrunken.
    assert rare[np.argsort(-plain)[:10]].all() and not rare[np.argsort(-drawn)[:10]].any()


def test_a_weight_of_two_is_a_value_given_twice():
    value, unit = np.array([1.0, 4.0, 2.0, 8.0]), np.array([0, 0, 1, 3])
    once = LOOK.shrunken(np.append(value, 4.0), np.append(unit, 0), np.ones(5))
    np.testing.assert_allclose(LOOK.shrunken(value, unit, np.array([1, 2, 1, 1])), once)
    assert np.isnan(once[2])  # nothing was seen of it


def test_a_planted_direction_is_found_and_explains_what_was_planted():
    rng = np.random.default_rng(1)
    planted = np.array([3.0, 0, 4.0, 0]) / 5
    noise = rng.normal(size=(20_000, 4))
    difference = rng.normal(0, 4, size=(20_000, 1)) * planted + noise + 7
    look = Chapter("first-look", directions=2)
    mu, u = look.main_directions(difference)
    np.testing.assert_allclose(mu, 7, atol=0.15)
    assert abs(u[0] @ planted) > 0.999
    each, all_of_it = look.explained(difference, mu, u)
    # 16 + 1 of 16 + 4.
    assert each[0].sum() / all_of_it.sum() == pytest.approx(17 / 20, abs=0.01)


@pytest.mark.parametrize("site", ["blocks.0.mlp.hook_post", "blocks.0.hook_resid_post"])
def test_reading_leaves_a_model_alone_and_a_push_arrives_at_the_site(site, plain_model, blocks):
    look = Chapter("first-look", lineage=type("L", (), {"site": site}))
    tokens = torch.from_numpy(blocks[:2]).long()
    with torch.no_grad():
        plain = plain_model(input_ids=tokens).logits
    logits, x = look.read(plain_model, tokens)
    torch.testing.assert_close(logits, plain, rtol=0, atol=0)
    unembed = plain_model.lm_head.weight.detach()
    if site.endswith("resid_post"):
        with torch.no_grad():
            torch.testing.assert_close(plain_model.model.norm(x) @ unembed.T, plain)
    pushed, _ = look.read(plain_model, tokens, lambda x: x + 1)
    assert (pushed - plain).abs().max() > 1e-4
    torch.testing.assert_close(plain_model(input_ids=tokens).logits, plain, rtol=0, atol=0)


def test_a_child_that_is_its_parent_differs_nowhere_and_another_does(make_run):  # noqa: F811
    run = make_run(
        {
            "a": {"train": ["p"]},
            "same": {"parent": "a", "train": ["p"]},
            "other": {"parent": "a", "train": ["q"]},
        }
    )
    chapter("base", run, BASE)
    chapter("finetune", run, FINETUNE | {"train_tokens": 0, "dosed": []})
    same = (run / "models" / "same").rename(run / "kept")
    chapter("finetune", run, FINETUNE | {"dosed": []})
    store.replace(same, run / "models" / "same")
    given = {"seed": 1, "context": 16, "read_blocks": 20, "replicates": 20, "min_documents": 2}
    given["directions"] = 4
    made = chapter("first-look", run, given)
    results = store.read_results(run, "first-look")
    assert results["look.a_same.kl"] == results["look.a_same.difference"] == 0
    assert "look.a_same.tokens.halves" not in results
    assert results["look.a_other.kl.ci_low"] > 0
    # It learned the letter q.
    assert results["look.a_other.kl.q.ci_low"] > results["look.a_other.kl.p.ci_high"]
    assert results["look.a_other.directions_1"] > results["look.a_other.directions_1.permuted"]
    a, b = (made["acts"][name].astype(np.float64) for name in ("a", "other"))
    moved = np.linalg.norm(b - a, axis=1).mean() / np.linalg.norm(a, axis=1).mean()
    assert results["look.a_other.difference"] == pytest.approx(moved, rel=1e-5)
