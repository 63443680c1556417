"""The explorer's data, and what is shown of each feature, against what they were made from."""

import base64
import re
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from featrack_utils.display import explorer
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.contexts import window
from tests import browser, explorer_contents
from tests.chapters import Chapter
from tests.explorer_contents import CHAIN, DEAD, PAPER, THREE, TWIN, WIDTH, D, read, write_data
from tests.planted_matches import all_matches


@pytest.fixture(scope="module")
def contents():
    return explorer_contents.contents()


@pytest.fixture(scope="module")
def folder(contents, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("explorer") / "data"
    write_data(folder, contents)
    return folder


def dense(contents, model) -> np.ndarray:
    return contents.features[model].acts.toarray()


@pytest.fixture(scope="module")
def index(folder):
    return read(folder, "index")


@pytest.fixture(scope="module")
def details(folder):
    return {model: read(folder, f"{model}-0") + read(folder, f"{model}-1") for model in PAPER.order}


@pytest.fixture(scope="module")
def correlation(contents):
    """r between every two features of every two models by numpy; −2 where one can't be judged."""
    found = {}
    for a, b in permutations(PAPER.order, 2):
        columns = [dense(contents, m) for m in (a, b)]
        with np.errstate(invalid="ignore"):
            r = np.corrcoef(columns[0].T.astype(float), columns[1].T.astype(float))[:D, D:]
        able = [((c > 0).sum(0) >= 8) & (documents(contents, c) >= 3) for c in columns]
        found[a, b] = np.where(np.isfinite(r) & np.outer(*able), r, -2)
    return found


def documents(contents, columns):
    origin = contents.features["base"].origin
    return np.array([len(set(origin[column > 0])) for column in columns.T])


def test_the_text_comes_back_as_it_was(folder, contents):
    meta, first = read(folder, "meta"), contents.features["base"]
    kind = f"<u{meta['token_bytes']}"
    assert np.frombuffer(base64.b64decode(meta["tokens"]), kind).tolist() == first.tokens.tolist()
    domains = np.frombuffer(base64.b64decode(meta["block_domain"]), "u1")
    assert np.repeat(domains, meta["width"]).tolist() == first.domain.tolist()
    assert meta["vocab"] == contents.vocabulary
    assert (meta["format"], meta["d_sae"], meta["tau"]) == (3, D, 0.8)


@pytest.mark.parametrize(("a", "b"), list(permutations(PAPER.order, 2)))
def test_partners_are_those_that_numpy_finds(a, b, index, correlation):
    r, match = correlation[a, b], index[a]["match"][b]
    for feature, (partner, value) in enumerate(zip(match["i"], match["r"], strict=True)):
        if r[feature].max() == -2:
            assert (partner, value) == (-1, None)
        else:
            assert value == pytest.approx(r[feature].max(), abs=6e-4)
            assert r[feature, partner] == pytest.approx(r[feature].max(), abs=1e-9)


def test_classes_follow_from_the_correlations(index, correlation, contents):
    def has(model, *others):
        return np.any([correlation[model, other].max(1) > 0.8 for other in others], axis=0)

    def named(model, matched, one, none):
        able = correlation[model, "base" if model != "base" else "lua"].max(1) > -2
        return np.select([~able, matched], ["unobserved", one], none).tolist()

    classes = read_classes(index)
    assert classes["base"] == named(
        "base", has("base", "lua", "stories"), "persisting", "disappearing"
    )
    assert classes["lua"] == named("lua", has("lua", "base"), "persisting", "emerging")
    assert classes["stories"] == named("stories", has("stories", "base"), "persisting", "emerging")
    assert classes["merged"] == named(
        "merged", has("merged", "lua", "stories"), "inherited", "novel"
    )
    # Forty features of Lua were made from the base's, and all but those too rare persist.
    assert classes["lua"].count("persisting") > 25


def test_none_is_called_disappearing_or_novel_that_its_line_has_elsewhere(contents, tmp_path):
    # Each feature of the base stands in the merge, and none of it in the two between.
    acts = dict(contents.features)
    acts["merged"] = acts["base"]
    best = all_matches(PAPER, acts, min_positions=8, min_documents=3)
    write_data(tmp_path / "data", contents._replace(features=acts, best=best))
    again = read(tmp_path / "data", "index")
    found, before = read_classes(again), read_classes(read_again(contents, tmp_path))
    assert "disappearing" in before["base"] and "disappearing" not in found["base"]
    assert "novel" in before["merged"] and "novel" not in found["merged"]
    was = [name == "disappearing" for name in before["base"]]
    for model in ("base", "merged"):
        assert [name == "elsewhere" for name in found[model]] == was


def read_again(contents, tmp_path):
    write_data(tmp_path / "before", contents)
    return read(tmp_path / "before", "index")


def test_reproducible_is_above_tau_in_every_other_dictionary_of_its_model(index):
    row = index["base"]
    assert np.flatnonzero(row["reproducible"]).tolist() == [TWIN, 5]  # 0.8 itself isn't above
    assert (row["own"][TWIN], row["own"][5], row["own"][DEAD]) == (0.9, 0.8, None)
    # A model with one dictionary has nothing to be compared with.
    assert sum(index["merged"]["reproducible"]) == 0 and set(index["merged"]["own"]) == {None}


def test_the_least_r_over_the_other_dictionaries_counts():
    best = {
        ("root-0", "root-1"): _best([0.9, 0.95, 0.2]),
        ("root-0", "root-2"): _best([0.85, 0.4, 0.3], [0, 1, -1]),
    }
    names = {"root": ("root-0", "root-1", "root-2"), "a": ("a-0",)}
    matches = SimpleNamespace(names=names, best=best, eligible={"root-0": np.ones(3, bool)})
    least = Chapter("explorer").own_r(matches)
    assert list(least) == ["root"]
    np.testing.assert_array_equal(least["root"], [0.85, 0.4, np.nan])


def _best(r, index=(0, 1, 2)):
    return SimpleNamespace(a_best_r=np.array(r), a_best_index=np.array(index))


def test_copies_share_a_number_and_what_cannot_be_judged_has_none(index):
    copies = index["base"]["copies"]
    assert copies[10:14] == [10, 10, 10, 13] and copies[DEAD] == -1


def read_classes(index):
    return {m: [explorer.CLASSES[number] for number in index[m]["cls"]] for m in PAPER.order}


def test_only_the_feature_that_all_models_share_is_universal(index):
    for model in PAPER.order:
        assert np.flatnonzero(index[model]["universal"]).tolist() == [TWIN]


@pytest.mark.parametrize("lineage", [CHAIN, THREE], ids=["chain", "three parents"])
def test_any_lineage_has_its_models_parents_and_classes(lineage, tmp_path):
    folder = tmp_path / "data"
    write_data(folder, explorer_contents.contents(lineage), lineage)
    meta, index = read(folder, "meta"), read(folder, "index")
    parents = {model["key"]: tuple(model["parents"]) for model in meta["models"]}
    assert parents == {model: lineage.parents(model) for model in lineage.order}
    assert list(parents) == list(lineage.order) and meta["domains"] == ["w", "x", "y", "z"]
    for model in lineage.order:
        named = {explorer.CLASSES[number] for number in index[model]["cls"]} - {"unobserved"}
        possible = {"persisting", "emerging"}
        if model == lineage.root:
            possible = {"persisting", "disappearing"}
        elif model in lineage.merges:
            possible = {"inherited", "novel"}
        assert named == possible
        assert index[model]["universal"][TWIN] == 1
        assert set(index[model]["match"]) == set(lineage.order) - {model}


def test_a_dead_feature_shows_nothing_and_never_a_number_for_what_is_unknown(index, details):
    row, one = index["lua"], details["lua"][DEAD]
    assert one["c"] == one["r"] == [] and sum(one["h"]) == 0
    assert (row["top"][DEAD], row["peak"][DEAD], row["text"][DEAD]) == ([], 0, "")
    assert row["sim"][DEAD] is None
    assert row["match"]["base"]["r"][DEAD] is None
    assert (row["text"][5], row["sim"][5], row["cluster"][5]) == ("</script>“5”", 0.123, -1)
    assert row["xy"][2] == [(D + 2) / 8, -1]


def test_no_token_can_break_out_of_a_script(folder):
    for path in folder.glob("*.js"):
        script = path.read_text("ascii")
        call = rf'featrackExplorer\.receive\("{path.stem}",new Response\([\w\s+/=".(),>\[\]]*\);\n'
        assert re.fullmatch(call, script), path.name
        assert "<" not in script


def test_equal_features_give_equal_bytes(folder, contents, tmp_path):
    write_data(tmp_path / "again", contents)
    names = sorted(path.name for path in folder.iterdir())
    chunks = [f"{model}-{chunk}.js" for model in PAPER.order for chunk in (0, 1)]
    assert names == sorted(["meta.js", "index.js", *chunks])
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_feature_takes_less_than_its_part_of_six_megabytes_for_8192(folder):
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size / (len(PAPER.order) * D) < 6e6 / 8192


def test_features_that_fill_no_blocks_are_refused(contents, tmp_path):
    with pytest.raises(FeatrackError, match=r"480 positions are no blocks of 13; give the context"):
        write_data(tmp_path / "data", contents, context=14)


def test_the_page_names_every_script_and_style_there_is():
    static = Path(explorer.__file__).parents[2] / "book" / "_static" / "explorer"
    there = {path.name for path in static.iterdir() if path.is_file()}
    assert there == {*explorer.SCRIPTS, *explorer.STYLES}
    page = explorer.page().data
    assert all(f'"../_static/explorer/{name}"' in page for name in there)
    assert '<div id="featrack-explorer">' in page and "<noscript>" in page


@pytest.mark.skipif(not browser.BROWSER or not browser.DRIVER, reason="there is no Chromium here")
def test_a_browser_unpacks_from_a_file_what_was_packed(folder, index, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<script>window.held = {}; window.featrackExplorer = "
        "{receive: (name, value) => { held[name] = value; }}</script>"
        + "".join(
            f'<script src="{(folder / name).as_uri()}"></script>'
            for name in ("meta.js", "index.js")
        )
    )
    with browser.open_browser() as driver:
        driver.get(page.as_uri())
        unpacked = driver.execute_async_script(
            "Promise.all([held.meta, held.index]).then(arguments[0], e => arguments[0]([`${e}`]))"
        )
    assert unpacked == [read(folder, "meta"), index]


@pytest.mark.parametrize("model", PAPER.order)
def test_counts_densities_and_peaks_are_those_of_the_features(model, index, details, contents):
    acts, domain = dense(contents, model), contents.features[model].domain
    assert [sum(one["h"]) for one in details[model]] == (acts > 0).sum(0).tolist()
    np.testing.assert_allclose(index[model]["peak"], acts.max(0), rtol=1e-3)
    for number in range(4):
        expected = (acts[domain == number] > 0).mean(0)
        np.testing.assert_allclose(index[model]["density"][number], expected, rtol=1e-3)


@pytest.mark.parametrize("model", PAPER.order)
def test_contexts_show_the_activations_around_their_centre(model, details, contents):
    acts = dense(contents, model)
    peak = acts.max(0)
    for feature, one in enumerate(details[model]):
        for centre, pairs in one["c"] + one["r"]:
            left, right = window(centre, WIDTH)
            assert left // WIDTH == centre // WIDTH == (right - 1) // WIDTH
            shown = np.zeros(right - left)
            shown[pairs[::2]] = pairs[1::2]
            expected = acts[left:right, feature]
            assert ((shown > 0) == (expected > 0)).all()
            np.testing.assert_allclose(
                shown * peak[feature] / 255, expected, atol=peak[feature] / 250
            )


@pytest.mark.parametrize("model", PAPER.order)
def test_strongest_contexts_are_each_of_another_document(model, details, contents):
    acts, origin = dense(contents, model), contents.features[model].origin
    for feature, one in enumerate(details[model]):
        centres = [centre for centre, _ in one["c"]]
        strengths = acts[centres, feature]
        assert (np.diff(strengths) <= 0).all() and (strengths > 0).all()
        assert (
            len(set(origin[centres]))
            == len(centres)
            == min(6, len(set(origin[acts[:, feature] > 0])))
        )
        drawn = [centre for centre, _ in one["r"]]
        assert len(set(drawn)) == min(3, np.count_nonzero(acts[:, feature]))


def test_top_tokens_are_those_with_most_of_the_activation(index, contents):
    acts, tokens = dense(contents, "stories"), contents.features["stories"].tokens
    for feature in (0, TWIN, 100):
        mass = np.bincount(tokens, weights=acts[:, feature])
        assert index["stories"]["top"][feature] == np.argsort(-mass, kind="stable")[:5].tolist()
