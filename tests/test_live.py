"""Controls of the live chapter: values are set as a reader would, and what they change is read."""

import re
from itertools import permutations

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from IPython.display import HTML
from nbformat.v4 import new_code_cell, new_notebook, new_output
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.display.style import pair_label
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.best_matches import Matches, pairs_to_match
from featrack_utils.matching.correlation import correlations
from featrack_utils.pipeline.book import clean_notebook

# ruff: noqa: F401, F811 (fixtures are imported, and then named as arguments)
from tests.live_run import (
    LINEAGE,
    Chapter,
    D,
    chapter,
    controls,
    equal_pictures_are_equal_files,
    found,
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
    ids = Chapter().encode(tokenizer, "the cat", 16)
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids[1:]) == "the cat"


def test_a_text_that_spells_out_a_special_token_is_data(tokenizer):
    ids = Chapter().encode(tokenizer, "<|endoftext|>", 16)
    assert ids.count(tokenizer.bos_token_id) == 1 and len(ids) > 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "There is no text to read: type some."),
        ("@" * 16, "The text has 16 tokens and the models read at most 15: shorten it."),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_in_one_sentence(tokenizer, text, said):
    with pytest.raises(FeatrackError) as caught:
        Chapter().encode(tokenizer, text, 16)
    assert str(caught.value).startswith(said)
    assert len(Chapter().encode(tokenizer, "@" * 15, 16)) == 16


def test_half_a_character_is_read_as_a_question_mark(tokenizer):
    assert Chapter().encode(tokenizer, "ab\ud800", 16) == Chapter().encode(tokenizer, "ab?", 16)


def test_features_of_an_identity_are_the_parts_of_transformers_own_neurons(run, models, tokenizer):
    ids = Chapter().encode(tokenizer, "return x", 16)
    acts = Chapter(lineage=LINEAGE).feature_acts(models["lua"], ids)
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


def strongest_rows(acts, links, top):
    return Chapter(best=links, tau=0.8).strongest_rows(acts, top)


def test_matched_features_share_a_row_and_the_strongest_row_comes_first():
    acts = {model: np.zeros((2, 3), np.float32) for model in LINEAGE.order}
    acts["lua"][0, 2], acts["merged"][1, 0], acts["base"][0, 1] = 3.0, 5.0, 1.0
    links = {pair: planted(3) for pair in permutations(LINEAGE.order, 2)}
    links["lua", "merged"] = planted(3, (2, 0))  # lua 2 and merged 0 are one
    links["merged", "lua"] = planted(3, (0, 2))
    one, other = strongest_rows(acts, links, top=2)
    assert one == {"merged": (0, None), "lua": (2, pytest.approx(1))}
    assert other == {"base": (1, None)}


def test_a_match_at_the_threshold_or_below_gets_a_row_of_its_own():
    acts = {model: np.ones((1, 1), np.float32) for model in LINEAGE.order}
    links = {pair: planted(1) for pair in permutations(LINEAGE.order, 2)}
    assert len(strongest_rows(acts, links, top=1)) == 4


def test_where_nothing_fires_the_table_says_so(chapter):
    chapter.models = {m: one._replace(sae=Silent()) for m, one in chapter.models.items()}
    panel = chapter.panel("show_text")
    assert texts(panel) == "<p>No feature of any model fires on this text.</p>"


class Silent:
    def encode(self, x):
        return torch.zeros(len(x), 2 * D)


def test_a_still_table_leads_to_the_explorer_and_a_control_does_not(chapter):
    acts = {model: np.zeros((2, 9)) for model in LINEAGE.order}
    acts["lua"][0, 7] = 1
    rows = [{"lua": (7, None), "base": (2, 0.91)}]
    html = chapter.rows_table(rows, acts, ["a", "b"], "Two tokens.", linked=True).data
    soup = BeautifulSoup(html, "html.parser")
    links = {a["href"]: a.text for a in soup.find_all("a")}
    assert links == {"explorer.html#lua-7": "lua 7", "explorer.html#base-2": "base 2"}
    assert (
        html.count("no match") == 2 and soup.find(class_="featrack-caption").text == "Two tokens."
    )
    assert "base 2, r 0.91silent on this text" in soup.text
    assert "href" not in texts(chapter.panel("show_text"))


def test_of_a_long_text_what_surrounds_the_strongest_token_is_shown(chapter):
    acts = {"base": np.zeros((60, 1))}
    acts["base"][30] = 1
    pieces = [chr(0x4E00 + i) for i in range(60)]
    html = chapter.rows_table([{"base": (0, None)}], acts, pieces, "").data
    shown = re.findall("[\u4e00-\u4e3b…]", html)
    assert shown == ["…", *pieces[15:39], "…"]


def test_typing_changes_the_table_and_a_slip_is_one_sentence(chapter):
    panel = chapter.panel("show_text")
    box, before = controls(panel)["Your text"], texts(panel)
    assert "cat" in before and not sentence(panel)
    box.value = "def f"
    assert "cat" not in texts(panel) and "de" in texts(panel)
    box.value = ""
    assert texts(panel) == '<p role="alert">There is no text to read: type some.</p>'
    box.value = "the cat"
    assert texts(panel) == before


def test_more_features_make_more_rows(chapter):
    chapter.tau = 0.99
    panel = chapter.panel("show_text")
    control = controls(panel)["Features a model"]
    control.value = 1
    few = texts(panel).count("<tr>")
    control.value = 6
    assert few >= 2 and texts(panel).count("<tr>") > few


def test_typed_markup_is_shown_and_never_becomes_markup(chapter):
    chapter.code = "<img src=x>\u202e&"
    panel = chapter.panel("show_text")
    assert not pictures(panel) and "&lt;" in texts(panel) and "\u202e" not in texts(panel)


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


def sliding(matches, tau=0.8) -> Chapter:
    """The chapter over given matches, as far as its part on the threshold goes.

    What a page without a kernel moves along is a test of its own (`test_tau.py`).
    """
    return Chapter(lineage=LINEAGE, matches=matches, tau=tau, rule="best", curves={})


def test_shares_fall_with_the_threshold_and_all_match_at_a_low_one(known):
    shares = {t: sliding(known).shares_at(t).set_index("pair") for t in (0.3, 0.9, 0.99)}
    assert (shares[0.3]["share"] == 1).all() and (shares[0.3]["ratio"] == 1).all()
    for pair in ("Base → Lua", "Stories → Merged"):
        falling = [shares[t].loc[pair, "share"] for t in shares]
        assert falling == sorted(falling, reverse=True) and falling[-1] < falling[0]


def test_a_share_is_a_count_of_correlations_above_the_threshold(known):
    shares = sliding(known).shares_at(0.9)
    assert shares["pair"].tolist() == [pair_label(*edge) for edge in LINEAGE.edges]
    best = known.best["base-0", "lua-0"].a_best_r
    again = known.best["base-0", "base-1"].a_best_r
    assert shares["share"][0] == pytest.approx((best > 0.9).sum() / 6)
    assert shares["ceiling"][0] == pytest.approx((again > 0.9).sum() / 6)


def test_sliding_the_threshold_changes_the_shares_and_the_flow(known):
    panel = sliding(known, 0.3).panel("show_threshold")
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
    shares = sliding(known).shares_at(0.8)
    assert (shares["ceiling"] == 0).all() and shares["ratio"].isna().all()
    panel = sliding(known).panel("show_threshold")
    assert texts(panel).count("–") == len(LINEAGE.edges)


def test_where_no_feature_can_be_judged_the_reader_is_told(known):
    nobody = known._replace(best=dict.fromkeys(known.best, planted(6)))
    panel = sliding(nobody).panel("show_threshold")
    assert "is eligible, so no share is defined" in sentence(panel)
    assert not pictures(panel) and "<table" not in texts(panel)


# What all of them share


def test_every_control_has_a_label_and_an_explanation(chapter, known):
    chapter.matches, chapter.rule, chapter.curves = known, "best", {}
    counts = {"show_text": 2, "show_way": 4, "show_threshold": 1, "show_ablation": 3}
    for name, count in counts.items():
        each = controls(chapter.panel(name))
        assert len(each) == count and all(control.tooltip for control in each.values())


def test_a_page_without_a_kernel_gets_a_note_in_a_panels_place():
    panel = Chapter().Panel(lambda: HTML(""))  # with nothing for a page of its own
    shown = new_output("display_data", data=panel._repr_mimebundle_())
    notebook = new_notebook(cells=[new_code_cell("widget", outputs=[shown])])
    clean_notebook(notebook, "live")
    (output,) = notebook.cells[0].outputs
    assert "featrack-widget-note" in output.data["text/html"]
