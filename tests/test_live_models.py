"""The merge slider and the ablation, against plain transformers on the same weights."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from featrack_utils.models import evaluation, loading

# ruff: noqa: F401, F811 (fixtures are imported, and then named as arguments)
from tests.live_run import (
    LINEAGE,
    Chapter,
    D,
    T,
    chapter,
    controls,
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
def sliding(chapter):
    return chapter.panel("show_way")


def test_at_0_the_merge_is_lua_and_at_1_stories(run, chapter, sliding):
    for t, name in ((0, "lua"), (1, "stories")):
        controls(sliding)["Weight t"].value = t
        parent = loading.load_model(run / "models" / name)
        losses = [evaluation.evaluate(parent, chapter.blocks[d]).loss for d in LINEAGE.domains]
        said = re.search(r"Loss at t = \d\.00, nats per token: (.*?)\.<", texts(sliding))[1]
        assert [float(word) for word in re.findall(r"\d+\.\d+", said)] == pytest.approx(
            losses, abs=0.006
        )


def test_at_the_weight_of_the_merged_model_a_feature_is_what_was_measured(chapter, found):
    acts = found["merged-0"].acts.toarray()
    feature = int(acts.max(axis=0).argmax())
    places = chapter.strongest_places("merged", feature)
    seen = chapter.acts_at(T, "merged", feature, places)
    strongest = seen[np.arange(3), places[1]].tolist()
    assert strongest[0] == pytest.approx(acts[:, feature].max(), rel=1e-4)
    assert strongest == sorted(strongest, reverse=True)
    assert chapter.feature_curve([T], "merged", feature, places).loc[T].tolist() == strongest
    moved = chapter.acts_at(0, "merged", feature, places)
    assert not np.allclose(moved, seen, rtol=1e-2)


def test_places_lie_in_different_documents(chapter):
    blocks, _ = chapter.strongest_places("lua", 5, n=16)
    assert len(set(blocks)) == len(blocks) > 3  # each block of this mix is a document of its own


def written(panel) -> str:
    return re.search(r"<pre.*?</pre>", texts(panel), re.DOTALL)[0]


def shaded(panel) -> str:
    return texts(panel).partition('<div class="featrack-tokens" style')[2]


def test_sliding_changes_figure_text_and_contexts(sliding):
    def seen():
        return [pictures(sliding), written(sliding), shaded(sliding)]

    before = seen()
    controls(sliding)["Weight t"].value = 0.9
    assert all(a != b for a, b in zip(seen(), before, strict=True))
    controls(sliding)["Weight t"].value = T
    assert seen() == before  # the seed is fixed


def test_another_prompt_changes_the_text_alone(sliding):
    figure, text, contexts = pictures(sliding), written(sliding), shaded(sliding)
    controls(sliding)["Text to go on from"].value = "<b>the"
    assert pictures(sliding) == figure and shaded(sliding) == contexts
    assert written(sliding) != text and "&lt;b&gt;the" in written(sliding)


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


def test_a_slip_while_sliding_is_one_sentence(sliding):
    assert slip(sliding, "Text to go on from", "") == "There is no text to read: type some."
    assert slip(sliding, "Text to go on from", "@" * 15).startswith("The text has 15 tokens")


@pytest.mark.parametrize("name", ["show_way", "show_ablation"])
def test_no_number_can_be_chosen_that_no_feature_has(name, chapter):
    panel = chapter.panel(name)
    for wrong, nearest in ((48, 47), (-1, 0)):
        controls(panel)["Feature"].value = wrong
        assert controls(panel)["Feature"].value == nearest and not sentence(panel)


def test_a_feature_that_is_never_active_is_shown_as_such(chapter, found):
    silent = found["merged-0"]._replace(acts=sparse.csr_matrix(found["merged-0"].acts.shape))
    chapter.found = found | {"merged-0": silent}
    panel = chapter.panel("show_way")
    assert "merged 3 is never active on this text." in texts(panel) and "Loss at" in texts(panel)
    nowhere = chapter.strongest_places("merged", 3)
    curve = chapter.feature_curve([0, 1], "merged", 3, nowhere)
    (above, below) = chapter.draw_way(chapter.losses, curve, "merged", 3, T).axes
    assert len(above.lines) == 5 and len(below.lines) == 1  # a line each domain; the dotted ones


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


def active(models, name, ids):
    """Features active on the last token, strongest first."""
    acts = Chapter(lineage=LINEAGE).feature_acts(models[name], ids)[-1]
    return np.argsort(-acts)[: np.count_nonzero(acts)].tolist()


@pytest.mark.parametrize("which", ["positive", "negative"])
def test_ablating_a_neurons_part_is_what_transformers_gives_without_it(
    run, chapter, models, tokenizer, which
):
    ids = Chapter().encode(tokenizer, "the cat", 16)
    feature = next(i for i in active(models, "stories", ids) if (i < D) == (which == "positive"))
    without = chapter.next_token(models["stories"], ids, feature)
    expected = without_by_hand(run, "stories", ids, feature)
    np.testing.assert_allclose(without, expected, rtol=1e-3, atol=1e-6)
    assert not np.allclose(chapter.next_token(models["stories"], ids), without, atol=1e-4)


def test_ablating_a_feature_that_is_silent_changes_nothing(chapter, models, tokenizer):
    ids = Chapter().encode(tokenizer, "the cat", 16)
    # Of each pair of parts one is active.
    assert len(active(models, "lua", ids)) == D
    silent = next(i for i in range(2 * D) if i not in active(models, "lua", ids))
    clean, without = (chapter.next_token(models["lua"], ids, *each) for each in ([], [silent]))
    assert chapter.moved(clean, without) == 0


def test_what_moves_is_half_the_sum_of_changes():
    clean, without = np.array([0.5, 0.5, 0]), np.array([0.25, 0.5, 0.25])
    assert Chapter().moved(clean, without) == 0.25


def test_effects_name_each_active_feature_once_the_largest_first(chapter, models, tokenizer):
    ids = Chapter().encode(tokenizer, "def f", 16)
    table = chapter.effects(models["base"], ids)
    assert sorted(table["feature"]) == sorted(active(models, "base", ids))
    assert table["moved"].is_monotonic_decreasing and table["moved"].between(0, 1).all()
    first = int(table["feature"][0])
    clean, without = (chapter.next_token(models["base"], ids, *each) for each in ([], [first]))
    assert chapter.moved(clean, without) == table["moved"][0]
    assert (
        Chapter(lineage=LINEAGE).feature_acts(models["base"], ids)[-1, first]
        == table["activation"][0]
    )


def test_the_largest_changes_are_shown_losers_first_and_ties_by_probability(chapter):
    clean = np.zeros(280)
    clean[[10, 20, 30, 40]] = 0.3, 0.4, 0.1, 0.2
    without = clean.copy()
    without[[10, 20]] = 0.4, 0.3
    table = chapter.largest_changes(clean, without, 3)
    assert table["token"].tolist() == chapter.corpora.pieces(np.array([20, 40, 10]))
    assert table["change"].tolist() == pytest.approx([-0.1, 0, 0.1])


@pytest.fixture
def ablating(chapter, models, tokenizer):
    ranked = active(models, "lua", Chapter().encode(tokenizer, "the cat", 16))
    chapter.last, chapter.removed = "lua", ranked[0]
    return chapter.panel("show_ablation"), ranked


def test_another_feature_model_or_text_changes_the_probabilities(ablating):
    panel, ranked = ablating
    seen = [texts(panel)]
    assert f"Without lua {ranked[0]}, " in seen[0]
    for control, value in (
        ("Feature", ranked[1]),
        ("Dictionary of", "base"),
        ("Your text", "f(x)"),
    ):
        controls(panel)[control].value = value
        assert texts(panel) not in seen and not sentence(panel)
        seen.append(texts(panel))


def test_a_feature_that_is_not_active_there_is_named_as_such(ablating):
    panel, ranked = ablating
    silent = next(i for i in range(2 * D) if i not in ranked)
    controls(panel)["Feature"].value = silent
    assert f"lua {silent} isn&#x27;t active on the last token, so nothing changes" in texts(panel)
    assert f"strongest first: {ranked[0]}, {ranked[1]}" in texts(panel)


def test_a_slip_while_ablating_is_one_sentence(ablating):
    panel, _ = ablating
    assert slip(panel, "Your text", "") == "There is no text to read: type some."
    assert slip(panel, "Your text", "@" * 16).startswith("The text has 16 tokens")


def test_the_last_tokens_of_hostile_vocabularies_are_data(chapter):
    chapter.code, chapter.last = "$x$ <b>", "base"
    panel = chapter.panel("show_ablation")
    assert "<b>" not in texts(panel).replace("<br>", "") and "$" in texts(panel)


def test_tokens_beside_bars_are_drawn_as_they_are_or_by_number():
    tokens = ["$x$", " b\n", "\u65e5", "\x08", "\u202e"]
    changes = pd.DataFrame({"token": tokens, "clean": 0.1, "without": 0.2})
    (axis,) = Chapter().draw_changes(changes, "lua").axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["$x$", "·b⏎", "<U+65E5>", "<U+0008>", "⟨U+202E⟩"]
    assert not any(label.get_parse_math() for label in axis.get_yticklabels())


def test_one_likely_token_doesnt_hide_what_becomes_of_the_unlikely_ones():
    changes = pd.DataFrame(
        {"token": list("abc"), "clean": [0.98, 1e-4, 0.0], "without": [0.96, 1e-2, 0.0]}
    )
    (axis,) = Chapter().draw_changes(changes, "lua").axes
    clean, without = axis.collections[1:]
    assert axis.get_xscale() == "log"
    assert clean.get_offsets()[:, 0].tolist() == [0.98, 1e-4, Chapter().LEAST]
    assert without.get_offsets()[:, 0].tolist() == [0.96, 1e-2, Chapter().LEAST]
    # A hundredfold change spans at least a fifth of the axis.
    low, high = axis.get_xlim()
    assert np.log(100) / np.log(high / low) > 0.2
