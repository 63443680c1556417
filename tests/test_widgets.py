"""Controls of the live chapter: values are set as a reader would, and what they change is read."""

import re
from itertools import permutations

import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook, new_output
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.display.widgets import live, reading, text_reader, threshold_slider, thresholds
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.best_matches import Matches, pairs_to_match
from featrack_utils.matching.correlation import correlations
from featrack_utils.pipeline.book import clean_notebook

# ruff: noqa: F401, F811 (fixtures are imported, and then named as arguments)
from tests.widget_run import (
    LINEAGE,
    D,
    controls,
    corpora,
    equal_pictures_are_equal_files,
    found,
    matches,
    mix,
    models,
    neurons,
    pictures,
    run,
    sentence,
    texts,
)

# Any text


def test_a_text_is_led_by_the_token_that_begins_documents(tokenizer):
    ids = live.encode(tokenizer, "the cat", 16)
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids[1:]) == "the cat"


def test_a_text_that_spells_out_a_special_token_is_data(tokenizer):
    ids = live.encode(tokenizer, "<|endoftext|>", 16)
    assert ids.count(tokenizer.bos_token_id) == 1 and len(ids) > 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "There is no text to read: type some."),
        ("@" * 16, "The text has 16 tokens and the models read at most 15: shorten it."),
        ("ab\ud800", "Character 3 of the text is half of a surrogate pair"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_in_one_sentence(tokenizer, text, said):
    with pytest.raises(FeatrackError) as caught:
        live.encode(tokenizer, text, 16)
    assert str(caught.value).startswith(said)
    assert len(live.encode(tokenizer, "@" * 15, 16)) == 16


def test_features_of_an_identity_are_the_parts_of_transformers_own_neurons(run, models, tokenizer):
    ids = live.encode(tokenizer, "return x", 16)
    acts = live.feature_acts(models["lua"], ids)
    expected = neurons(run, "lua", ids)[1:]  # the first token is left out
    np.testing.assert_allclose(acts[:, :D] - acts[:, D:], expected, rtol=1e-4, atol=1e-5)
    assert (acts >= 0).all()


# Reading


def planted(size: int, *pairs: tuple[int, int]):
    """Best matches in which each given pair is equal and nothing else is active."""
    a, b = np.zeros((40, size), np.float32), np.zeros((40, size), np.float32)
    for k, (i, j) in enumerate(pairs):
        a[k::7, i] = b[k::7, j] = 1
    return correlations(sparse.csr_matrix(a), sparse.csr_matrix(b))


def test_matched_features_share_a_row_and_the_strongest_row_comes_first():
    acts = {model: np.zeros((2, 3), np.float32) for model in LINEAGE.order}
    acts["lua"][0, 2], acts["merged"][1, 0], acts["base"][0, 1] = 3.0, 5.0, 1.0
    links = {pair: planted(3) for pair in permutations(LINEAGE.order, 2)}
    links["lua", "merged"] = planted(3, (2, 0))  # lua 2 and merged 0 are one
    links["merged", "lua"] = planted(3, (0, 2))
    rows = reading.strongest_rows(acts, links, tau=0.8, top=2)
    assert [{m: f.feature for m, f in row.items()} for row in rows] == [
        {"merged": 0, "lua": 2},
        {"base": 1},
    ]
    assert rows[0]["merged"].r is None and rows[0]["lua"].r == pytest.approx(1)
    assert rows[0]["lua"].acts.tolist() == [3, 0]


def test_a_match_at_the_threshold_or_below_gets_a_row_of_its_own():
    acts = {model: np.ones((1, 1), np.float32) for model in LINEAGE.order}
    links = {pair: planted(1) for pair in permutations(LINEAGE.order, 2)}
    assert len(reading.strongest_rows(acts, links, tau=0.8, top=1)) == 4


def test_where_nothing_fires_the_table_says_so(models, matches, corpora):
    silent = {m: one._replace(sae=Silent()) for m, one in models.items()}
    panel = text_reader(silent, matches, corpora, tau=0.8, text="x")
    assert texts(panel) == "<p>No feature of any model fires on this text.</p>"


class Silent:
    def encode(self, x):
        return torch.zeros(len(x), 2 * D)


def test_a_still_table_leads_to_the_explorer_and_a_control_does_not(models, matches, corpora):
    row = {"lua": reading.Fired(7, np.array([1.0, 0.0]), None)}
    html = reading.rows_table([row], ["a", "b"], models, "Two tokens.", linked=True).data
    assert '<a href="explorer.html#lua-7"><b>lua 7</b></a>' in html
    assert html.count("no match") == 3 and '<p class="featrack-caption">Two tokens.</p>' in html
    assert "href" not in texts(text_reader(models, matches, corpora, tau=0.8, text="x"))


def test_of_a_long_text_what_surrounds_the_strongest_token_is_shown(models):
    acts = np.zeros(60)
    acts[30] = 1
    row = {"base": reading.Fired(0, acts, None)}
    pieces = [chr(0x4E00 + i) for i in range(60)]
    html = reading.rows_table([row], pieces, {"base": models["base"]}, "", linked=False).data
    shown = re.findall("[\u4e00-\u4e3b…]", html)
    assert shown == ["…", *pieces[15:39], "…"]


def test_typing_changes_the_table_and_a_slip_is_one_sentence(models, matches, corpora):
    panel = text_reader(models, matches, corpora, tau=0.8, text="the cat")
    box, before = controls(panel)["Your text"], texts(panel)
    assert "cat" in before and not sentence(panel)
    box.value = "def f"
    assert "cat" not in texts(panel) and "de" in texts(panel)
    box.value = ""
    assert texts(panel) == '<p role="alert">There is no text to read: type some.</p>'
    box.value = "the cat"
    assert texts(panel) == before


def test_more_features_make_more_rows(models, matches, corpora):
    panel = text_reader(models, matches, corpora, tau=0.99, text="the cat")
    control = controls(panel)["Features a model"]
    control.value = 1
    few = texts(panel).count("<tr>")
    control.value = 6
    assert few >= 2 and texts(panel).count("<tr>") > few


def test_typed_markup_is_shown_and_never_becomes_markup(models, matches, corpora):
    panel = text_reader(models, matches, corpora, tau=0.8, text="<img src=x>\u202e&")
    shown = texts(panel)
    assert not pictures(panel) and "&lt;" in shown and "\u202e" not in shown


# Thresholds


@pytest.fixture(scope="module")
def known() -> Matches:
    """Six features that all models share, with ever more noise, and two dictionaries of each."""
    rng = np.random.default_rng(0)
    shared = (rng.random((4000, 6)) < 0.2) * rng.random((4000, 6))
    dictionaries = {}
    for model in LINEAGE.order:
        for seed in (0, 1):
            noise = np.linspace(0.02, 0.3, 6) * rng.standard_normal(shared.shape)
            acts = np.where(shared > 0, np.abs(shared + noise), 0).astype(np.float32)
            labels = np.arange(4000, dtype=np.int32)
            dictionaries[f"{model}-{seed}"] = Features(
                sparse.csr_matrix(acts), labels, labels * 0, labels
            )
    names = {model: (f"{model}-0", f"{model}-1") for model in LINEAGE.order}
    best = {
        (a, b): correlations(dictionaries[a].acts, dictionaries[b].acts)
        for a, b in pairs_to_match(LINEAGE, names)
    }
    return Matches(names, best, {}, {}, {}, tau=0.8)


def test_shares_fall_with_the_threshold_and_all_match_at_a_low_one(known):
    shares = {
        t: thresholds.shares_at(LINEAGE, known, t, "best").set_index("pair")
        for t in (0.3, 0.9, 0.99)
    }
    assert (shares[0.3]["share"] == 1).all() and (shares[0.3]["ratio"] == 1).all()
    for pair in ("base_lua", "stories_merged"):
        falling = [shares[t].loc[pair, "share"] for t in shares]
        assert falling == sorted(falling, reverse=True) and falling[-1] < falling[0]


def test_a_share_is_a_count_of_correlations_above_the_threshold(known):
    shares = thresholds.shares_at(LINEAGE, known, 0.9, "best")
    assert shares["pair"].tolist() == [f"{a}_{b}" for a, b in LINEAGE.edges]
    best = known.best["base-0", "lua-0"].a_best_r
    again = known.best["base-0", "base-1"].a_best_r
    assert shares["share"][0] == pytest.approx((best > 0.9).sum() / 6)
    assert shares["ceiling"][0] == pytest.approx((again > 0.9).sum() / 6)


def test_sliding_the_threshold_changes_the_shares_and_the_flow(known):
    panel = threshold_slider(LINEAGE, known, tau=0.3, rule="best")
    table, (diagram,) = texts(panel), pictures(panel)
    assert table.count("100 %") == 3 * len(LINEAGE.edges) and "Base → Lua: 100% persist" in diagram
    controls(panel)["Threshold τ"].value = 0.99
    assert texts(panel).count("100 %") < 2 * len(LINEAGE.edges)
    assert pictures(panel) != [diagram] and not sentence(panel)


def test_a_ratio_to_a_ceiling_of_zero_is_a_dash(known):
    best = {pair: planted(6, (0, 0)) for pair in known.best}
    for model in LINEAGE.order:
        best[f"{model}-0", f"{model}-1"].a_best_r[:] = 0
    known = known._replace(best=best)
    shares = thresholds.shares_at(LINEAGE, known, 0.8, "best")
    assert (shares["ceiling"] == 0).all() and shares["ratio"].isna().all()
    panel = threshold_slider(LINEAGE, known, tau=0.8, rule="best")
    assert texts(panel).count("–") == len(LINEAGE.edges)


def test_where_no_feature_can_be_judged_the_reader_is_told(known):
    nobody = known._replace(best=dict.fromkeys(known.best, planted(6)))
    panel = threshold_slider(LINEAGE, nobody, tau=0.8, rule="best")
    assert "is eligible, so no share is defined" in sentence(panel)
    assert not pictures(panel) and "<table" not in texts(panel)


# What all of them share


def test_every_control_has_a_label_and_an_explanation(models, matches, corpora, known):
    for panel in (
        text_reader(models, matches, corpora, tau=0.8, text="x"),
        threshold_slider(LINEAGE, known, tau=0.8, rule="best"),
    ):
        assert all(control.tooltip for control in controls(panel).values())


def test_a_page_without_a_kernel_gets_a_note_in_a_panels_place(known):
    panel = threshold_slider(LINEAGE, known, tau=0.8, rule="best")
    shown = new_output("display_data", data=panel._repr_mimebundle_())
    notebook = new_notebook(cells=[new_code_cell("widget", outputs=[shown])])
    clean_notebook(notebook, "live")
    (output,) = notebook.cells[0].outputs
    assert "featrack-widget-note" in output.data["text/html"]
