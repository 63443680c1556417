"""The merge slider and the ablation, against plain transformers on the same weights."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from featrack_utils.display.widgets import ablating, ablation, blending, figures, live, merge_slider
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.models import evaluation, loading, merging

# ruff: noqa: F401, F811 (fixtures are imported, and then named as arguments)
from tests.widget_run import (
    LINEAGE,
    D,
    T,
    controls,
    corpora,
    equal_pictures_are_equal_files,
    found,
    mix,
    models,
    pictures,
    run,
    sentence,
    texts,
)

# Merging


@pytest.fixture
def merging(run, models, found, mix, blocks, corpora):
    blend = blending.open_blend(run, blending.ends_of(LINEAGE))
    held = {domain: blocks[16 + 4 * i : 20 + 4 * i] for i, domain in enumerate(LINEAGE.domains)}
    losses = blending.loss_curve(blend, [0, 0.5, 1], held)
    panel = merge_slider(
        blend,
        models,
        found,
        mix,
        held,
        losses,
        corpora,
        t=T,
        model="merged",
        feature=3,
        prompt="the",
        seed=1,
    )
    return panel, held


def test_at_0_the_merge_is_lua_and_at_1_stories(run, merging):
    panel, held = merging
    for t, name in ((0, "lua"), (1, "stories")):
        controls(panel)["Weight t"].value = t
        parent = loading.load_model(run / "models" / name)
        losses = [evaluation.evaluate(parent, held[domain]).loss for domain in LINEAGE.domains]
        said = re.search(r"Loss at t = \d\.00, nats per token: (.*?)\.<", texts(panel))[1]
        assert [float(word) for word in re.findall(r"\d+\.\d+", said)] == pytest.approx(
            losses, abs=0.006
        )


def test_at_the_weight_of_the_merged_model_a_feature_is_what_was_measured(run, models, found, mix):
    blend, acts = (
        blending.open_blend(run, blending.ends_of(LINEAGE)),
        found["merged-0"].acts.toarray(),
    )
    feature = int(acts.max(axis=0).argmax())
    places = blending.strongest_places(found["merged-0"], feature, mix, 3)
    seen = blending.acts_at(blend, T, models["merged"], feature, places)
    strongest = [row[place.position] for row, place in zip(seen, places, strict=True)]
    assert strongest[0] == pytest.approx(acts[:, feature].max(), rel=1e-4)
    assert strongest == sorted(strongest, reverse=True) and len(places) == 3
    moved = blending.acts_at(blend, 0, models["merged"], feature, places)
    assert not np.allclose(moved, seen, rtol=1e-2)


def test_without_a_merge_the_way_goes_from_the_root_to_its_first_child():
    chain = Lineage({"a": {"train": ["x"]}, "b": {"parent": "a", "train": ["y"]}})
    assert blending.ends_of(chain) == ("a", "b")
    assert blending.ends_of(LINEAGE) == ("lua", "stories")


def test_places_lie_in_different_documents(found, mix):
    places = blending.strongest_places(found["lua-0"], 5, mix, 16)
    blocks = {tuple(place.block) for place in places}
    assert len(blocks) == len(places) > 3  # each block of this mix is a document of its own


def test_features_of_another_text_have_no_place_in_the_mix(found, mix):
    with pytest.raises(FeatrackError, match="measured on other tokens"):
        blending.strongest_places(found["lua-0"], 0, mix._replace(tokens=mix.tokens[:3]), 3)


def written(panel) -> str:
    return re.search(r"<pre.*?</pre>", texts(panel), re.DOTALL)[0]


def shaded(panel) -> str:
    return texts(panel).partition('<div class="featrack-tokens"')[2]


def test_sliding_changes_figure_text_and_contexts(merging):
    panel, _ = merging

    def seen():
        return [pictures(panel), written(panel), shaded(panel)]

    before = seen()
    controls(panel)["Weight t"].value = 0.9
    assert all(a != b for a, b in zip(seen(), before, strict=True))
    controls(panel)["Weight t"].value = T
    assert seen() == before  # the seed is fixed


def test_another_prompt_changes_the_text_alone(merging):
    panel, _ = merging
    figure, text, contexts = pictures(panel), written(panel), shaded(panel)
    controls(panel)["Text to go on from"].value = "<b>the"
    assert pictures(panel) == figure and shaded(panel) == contexts
    assert written(panel) != text and "&lt;b&gt;the" in written(panel)


def slip(panel, control: str, value) -> str:
    """What a panel says of a mistake, after which it is mended."""
    before = controls(panel)[control].value
    controls(panel)[control].value = value
    said = sentence(panel)
    # Nothing stale is shown beside the sentence.
    assert panel.children[-1].value == f'<p role="alert">{said}</p>'
    controls(panel)[control].value = before
    assert not sentence(panel)
    return said


def test_a_slip_while_sliding_is_one_sentence(merging):
    panel, _ = merging
    for wrong in (48, -1):
        said = f"Merged has no feature {wrong}: choose a number from 0 to 47."
        assert slip(panel, "Feature", wrong) == said
    assert slip(panel, "Text to go on from", "") == "There is no text to read: type some."
    assert slip(panel, "Text to go on from", "@" * 15).startswith("The text has 15 tokens")


def test_a_feature_that_is_never_active_is_shown_as_such(run, models, found, mix, corpora):
    dead = found["lua-0"]._replace(acts=sparse.csr_matrix(found["lua-0"].acts.shape))
    assert blending.strongest_places(dead, 0, mix, 3) == []
    blend = blending.open_blend(run, blending.ends_of(LINEAGE))
    assert blending.feature_curve(blend, [0, 1], models["lua"], 0, []).empty
    said = blending.contexts_html(blend, 0.5, models["lua"], 0, [], corpora)
    assert said == "<p>lua 0 is never active on the evaluation mix.</p>"


# Ablating


def without_by_hand(run, name, ids, feature):
    """Next-token probabilities of plain transformers with a neuron's part set to zero."""
    model = loading.load_model(run / "models" / name)

    def cut(module, inputs):
        acts = inputs[0].clone()
        part = acts[:, 1:, feature % D]
        part.clamp_(max=0) if feature < D else part.clamp_(min=0)
        return (acts,)

    model.model.layers[0].mlp.down_proj.register_forward_pre_hook(cut)
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0, -1].softmax(-1).numpy()


@pytest.mark.parametrize("which", ["positive", "negative"])
def test_ablating_a_neurons_part_is_what_transformers_gives_without_it(
    run, models, tokenizer, which
):
    ids = live.encode(tokenizer, "the cat", 16)
    active = ablating.active_last(models["stories"], ids)
    feature = next(i for i in active if (i < D) == (which == "positive"))
    result = ablating.ablate(models["stories"], ids, feature)
    expected = without_by_hand(run, "stories", ids, feature)
    np.testing.assert_allclose(result.without, expected, rtol=1e-3, atol=1e-6)
    assert not np.allclose(result.clean, result.without, atol=1e-4)


def test_ablating_a_feature_that_is_silent_changes_nothing(models, tokenizer):
    ids = live.encode(tokenizer, "the cat", 16)
    active = ablating.active_last(models["lua"], ids)
    silent = next(i for i in range(2 * D) if i not in active)
    result = ablating.ablate(models["lua"], ids, silent)
    assert result.acts[-1] == 0 and result.moved == 0
    # Of each pair of parts one is active, and by itself it moves something or nothing.
    assert len(active) == D


def test_what_moves_is_half_the_sum_of_changes():
    clean, without = np.array([0.5, 0.5, 0]), np.array([0.25, 0.5, 0.25])
    result = ablating.Ablation(np.ones(1), clean, without)
    assert result.moved == 0.25


def test_effects_name_each_active_feature_once_the_largest_first(models, tokenizer):
    ids = live.encode(tokenizer, "def f", 16)
    table = ablating.effects(models["base"], ids)
    assert sorted(table["feature"]) == sorted(ablating.active_last(models["base"], ids))
    assert table["moved"].is_monotonic_decreasing and table["moved"].between(0, 1).all()
    first = ablating.ablate(models["base"], ids, int(table["feature"][0]))
    assert first.moved == table["moved"][0] and first.acts[-1] == table["activation"][0]


def test_the_largest_changes_are_shown_losers_first_and_ties_by_probability(corpora):
    clean = np.zeros(280)
    clean[[10, 20, 30, 40]] = 0.3, 0.4, 0.1, 0.2
    without = clean.copy()
    without[[10, 20]] = 0.4, 0.3
    table = ablating.largest_changes(ablating.Ablation(np.ones(1), clean, without), corpora, 3)
    assert table["token"].tolist() == corpora.pieces(np.array([20, 40, 10]))
    assert table["change"].tolist() == pytest.approx([-0.1, 0, 0.1])


@pytest.fixture
def ablating_panel(models, corpora, tokenizer):
    active = ablating.active_last(models["lua"], live.encode(tokenizer, "the cat", 16))
    return ablation(models, corpora, text="the cat", model="lua", feature=active[0]), active


def test_another_feature_model_or_text_changes_the_probabilities(ablating_panel):
    panel, active = ablating_panel
    seen = [texts(panel)]
    assert f"Without lua {active[0]}, " in seen[0]
    for control, value in (
        ("Feature", active[1]),
        ("Dictionary of", "base"),
        ("Your text", "f(x)"),
    ):
        controls(panel)[control].value = value
        assert texts(panel) not in seen and not sentence(panel)
        seen.append(texts(panel))


def test_a_feature_that_is_not_active_there_is_named_as_such(ablating_panel):
    panel, active = ablating_panel
    silent = next(i for i in range(2 * D) if i not in active)
    controls(panel)["Feature"].value = silent
    assert f"lua {silent} isn't active on the last token, so nothing changes" in texts(panel)
    assert f"strongest first: {active[0]}, {active[1]}" in texts(panel)


def test_a_slip_while_ablating_is_one_sentence(ablating_panel):
    panel, _ = ablating_panel
    assert slip(panel, "Feature", 48) == "Lua has no feature 48: choose a number from 0 to 47."
    assert slip(panel, "Your text", "") == "There is no text to read: type some."
    assert slip(panel, "Your text", "@" * 16).startswith("The text has 16 tokens")


def test_the_last_tokens_of_hostile_vocabularies_are_data(models, corpora):
    panel = ablation(models, corpora, text="$x$ <b>", model="base", feature=0)
    assert "<b>" not in texts(panel).replace("<br>", "") and "$" in texts(panel)


def test_tokens_beside_bars_are_drawn_as_they_are_or_by_number():
    tokens = ["$x$", " b\n", "\u65e5", "\x08", "\u202e"]
    changes = pd.DataFrame({"token": tokens, "clean": 0.1, "without": 0.2})
    (axis,) = figures.probability_figure(changes, "lua").axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["$x$", "·b⏎", "<U+65E5>", "<U+0008>", "⟨U+202E⟩"]
    assert not any(label.get_parse_math() for label in axis.get_yticklabels())


def test_one_likely_token_doesnt_hide_what_becomes_of_the_unlikely_ones():
    changes = pd.DataFrame(
        {"token": list("abc"), "clean": [0.98, 1e-4, 0.0], "without": [0.96, 1e-2, 0.0]}
    )
    (axis,) = figures.probability_figure(changes, "lua").axes
    clean, without = axis.collections[1:]
    assert axis.get_xscale() == "log"
    assert clean.get_offsets()[:, 0].tolist() == [0.98, 1e-4, figures.LEAST]
    assert without.get_offsets()[:, 0].tolist() == [0.96, 1e-2, figures.LEAST]
    # A hundredfold change spans at least a fifth of the axis.
    low, high = axis.get_xlim()
    assert np.log(100) / np.log(high / low) > 0.2


def test_these_controls_have_labels_and_explanations_too(merging, ablating_panel):
    for panel, count in ((merging[0], 4), (ablating_panel[0], 3)):
        assert len(controls(panel)) == count
        assert all(control.tooltip for control in controls(panel).values())
