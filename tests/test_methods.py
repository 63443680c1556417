"""Merge recipes, run by mergekit: what they give, what they give back, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.models import loading, merging, recipes, training
from featrack_utils.statistics.intervals import Interval
from tests.chapters import Chapter
from tests.families import save

FOLDER = Path(__file__).parent.parent / "profiles" / "merges"
METHODS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
CHAPTER = Chapter("methods")
# Settings at which a merge of two equal task vectors is that task vector.
NEUTRAL = {
    "task_arithmetic": {"weight": 0.5},
    "ties": {"density": 1.0},
    "dare_ties": {"density": 1.0, "weight": 0.5},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory, tokenizer) -> Path:
    """Models some steps away from one origin, each in a direction of its own."""
    root = tmp_path_factory.mktemp("models")
    shape = dict(vocab_size=280, d_model=16, d_mlp=24, n_heads=2, n_kv_heads=1, context=16)
    model = training.new_model(**shape, seed=0)
    origin = {name: w.clone() for name, w in model.state_dict().items()}
    for seed, name in enumerate(["origin", "a", "b", "c"]):
        torch.manual_seed(seed)
        step = 0.02 * bool(seed)
        model.load_state_dict({n: w + step * torch.randn_like(w) for n, w in origin.items()})
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    (root / "a-again").symlink_to(root / "a")
    (root / "a-thrice").symlink_to(root / "a")
    for name, other in {"narrow": {"d_model": 8}, "wordy": {"vocab_size": 300}}.items():
        training.new_model(**shape | other, seed=0).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return root


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def difference(x: dict, y: dict) -> float:
    assert x.keys() == y.keys()
    return max((x[name] - y[name]).abs().max().item() for name in x)


def merge(models: Path, method: str, setting: dict, parents: str, ancestor: str, seed=0) -> dict:
    (recipe,) = recipes.read_recipes(FOLDER, [method])
    filled = recipe.filled(setting, [models / name for name in parents.split()], models / ancestor)
    return CHAPTER.merged(filled, seed)


def test_every_recipe_of_the_folder_is_known_to_mergekit():
    every = recipes.read_recipes(FOLDER, ["all"])
    CHAPTER.check_methods(every)
    assert [recipe.name for recipe in every] == METHODS
    assert [r.name for r in every if not r.fits(2)] == ["model_stock"]
    assert [r.name for r in every if not r.fits(3)] == ["nuslerp", "slerp"]


def test_a_recipe_dropped_into_the_folder_is_one_of_all_and_one_can_be_left_out(tmp_path):
    for path in FOLDER.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "mine.yaml").write_text((FOLDER / "ties.yaml").read_text())
    wanted = ["all", "not slerp", "not nuslerp"]
    names = [recipe.name for recipe in recipes.read_recipes(tmp_path, wanted)]
    assert names == ["dare_ties", "linear", "mine", "model_stock", "task_arithmetic", "ties"]
    with pytest.raises(FeatrackError, match=r"merges/?/slurp; the nearest known one is .*slerp"):
        recipes.read_recipes(FOLDER, ["all", "not slurp"])


def test_quick_compares_whatever_lies_in_the_folder():
    profile = yaml.safe_load((FOLDER.parent / "quick.yaml").read_text())
    assert profile["arms"]["methods"][0] == "all"


@pytest.mark.parametrize("t", [0.3, 0.6])
def test_slerp_and_linear_by_recipe_equal_our_own(models, t):
    states = [weights(models / name) for name in "ab"]
    arc = merge(models, "slerp", {"t": t}, "a b", "origin")
    line = merge(models, "linear", {"weight": [1 - t, t]}, "a b", "origin")
    assert difference(arc, merging.slerp(*states, t)) < 1e-6
    assert difference(line, merging.linear(states, [1 - t, t])) < 1e-6
    assert difference(arc, line) > 1e-5


def test_half_of_task_arithmetic_is_the_mean(models):
    half = merge(models, "task_arithmetic", {"weight": [1, 1], "lambda": 0.5}, "a b", "origin")
    mean = merging.linear([weights(models / name) for name in "ab"], [0.5, 0.5])
    assert difference(half, mean) < 1e-6


def test_a_mean_of_three_has_a_weight_for_each(models):
    (recipe,) = recipes.read_recipes(FOLDER, ["linear"])
    setting = recipe.settings(3)[1]
    assert setting == {"weight": [2, 1, 1]}
    by_recipe = merge(models, "linear", setting, "a b c", "origin")
    states = [weights(models / name) for name in "abc"]
    assert difference(by_recipe, merging.linear(states, [0.5, 0.25, 0.25])) < 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_merging_a_model_with_itself_gives_it_back(models, method):
    (recipe,) = recipes.read_recipes(FOLDER, [method])
    equal = "a a-again a-thrice" if method == "model_stock" else "a a-again"
    own = weights(models / "a")
    setting = {**recipe.settings(len(equal.split()))[0], **NEUTRAL.get(method, {})}
    setting = {key: 1 if key == "lambda" else value for key, value in setting.items()}
    assert difference(merge(models, method, setting, equal, "origin"), own) < 1e-6
    (models / "self").unlink(missing_ok=True)
    (models / "self").symlink_to(models / "a")
    for each in recipe.settings(len(equal.split())):
        assert difference(merge(models, method, each, equal, "self"), own) < 1e-6


def test_dare_is_drawn_by_its_seed(models):
    setting = {"weight": [1, 1], "density": 0.5, "lambda": 1}
    one, again, other = (
        merge(models, "dare_ties", setting, "a b", "origin", seed) for seed in (3, 3, 4)
    )
    assert difference(one, again) == 0
    assert difference(one, other) > 1e-3


def recipe_of(folder: Path, **keys) -> recipes.Recipe:
    """A recipe from a file: TIES of all parents, with some keys changed or, if None, left out."""
    given = {"merge_method": "ties", "base_model": "ancestor", "models": [{"model": "parent"}]}
    given = {**given, "parameters": {"weight": 1}, **keys}
    text = yaml.safe_dump({key: value for key, value in given.items() if value is not None})
    (folder / "mine.yaml").write_text(text)
    (recipe,) = recipes.read_recipes(folder, ["mine"])
    CHAPTER.check_methods([recipe])
    return recipe


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            {"merge_method": "tiers"},
            "merge_method tiers; the nearest known one is mine.yaml: merge_method ties",
        ),
        ({"base_model": None}, "ties needs a base_model; name the ancestor"),
        (
            {"base_modle": "ancestor"},
            "mine.yaml: base_modle; the nearest known one is mine.yaml: base_model",
        ),
        ({"models": None}, "must list its models"),
        ({"models": ["parent"]}, "must list its models"),
        (
            {"search": {"densty": [0.5]}},
            "mine.yaml: densty; the nearest known one is mine.yaml: density",
        ),
        ({"search": {"density": 0.5}}, "must search lists of values"),
    ],
)
def test_a_recipe_that_is_none_is_refused(tmp_path, keys, sentence):
    with pytest.raises(FeatrackError, match=sentence):
        recipe_of(tmp_path, **keys)


@pytest.mark.parametrize(
    ("keys", "setting", "sentence"),
    [
        ({"models": [{"model": "parent-3"}]}, {}, "names 'parent-3', which isn't there: this"),
        ({"base_model": "lua"}, {}, "names 'lua', which isn't there"),
        ({}, {"weight": [1, -1]}, "the weights 1, -1, which add up to zero"),
        ({"parameters": {"weight": 0}}, {}, "the weights 0, 0, which add up to zero"),
        ({}, {"density": 0}, "the density 0; it is the share of a task vector"),
        ({}, {"density": 1.2}, "the density 1.2;"),
        ({}, {"density": -0.1}, "the density -0.1;"),
        ({}, {"density": float("nan")}, "the density nan;"),
        ({}, {"density": "half"}, "the density half;"),
        ({}, {"weight": ["much", 1]}, "the weight much; write a number"),
        ({"models": [{"model": "stranger"}]}, {}, "names 'stranger', which isn't there"),
    ],
)
def test_a_recipe_that_does_not_fit_a_merge_is_refused(tmp_path, keys, setting, sentence):
    with pytest.raises(FeatrackError, match=sentence):
        recipe_of(tmp_path, **keys).filled(setting, ["a", "b"], "origin")


def test_a_search_without_a_list_for_so_many_parents_is_refused(tmp_path):
    recipe = recipe_of(tmp_path, search={"weight": [[1, 2], [2, 1]]})
    assert len(recipe.settings(2)) == 2
    with pytest.raises(FeatrackError, match="searches weight without a list for 3 parents"):
        recipe.settings(3)


def test_a_recipe_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(
        FeatrackError, match=r"merges/lineal; the nearest known one is .*merges/linear"
    ):
        recipes.read_recipes(FOLDER, ["lineal"])


@pytest.mark.parametrize("other", ["narrow", "wordy"])
def test_parents_of_different_shapes_or_vocabularies_are_refused(models, other):
    with pytest.raises(FeatrackError, match="merge models of one architecture"):
        merge(models, "linear", {"weight": [0.5, 0.5]}, f"a {other}", "origin")


@pytest.mark.parametrize("other", ["narrow", "wordy"])
@pytest.mark.parametrize("odd", ["one", "mixed"])
def test_a_loaded_merge_of_another_shape_is_refused_before_anything_runs(models, other, odd):
    loaded = {"root": "origin", "one": "a", "two": "b", "mixed": "c"} | {odd: other}
    entries = {name: {"load": str(models / folder)} for name, folder in loaded.items()}
    entries["one"]["parent"] = entries["two"]["parent"] = "root"
    entries["mixed"]["parent"] = ["one", "two"]
    with pytest.raises(FeatrackError) as caught:
        loading.find_all(Lineage(entries, texts=["p"]), 16)
    said = str(caught.value)
    assert said.startswith("models.mixed is a merge, and models.one (")
    assert said.endswith("are not of one shape; merge models of one architecture.")
    assert {"narrow": "width 8", "wordy": "300 tokens"}[other] in said
    # What descends from each other alone may differ.
    del entries["mixed"]
    assert len(loading.find_all(Lineage(entries, texts=["p"]), 16)) == 3


@pytest.mark.parametrize("family", ["GPT2", "GPTNeoX"])  # which name it once, or otherwise
def test_a_model_whose_file_names_its_unembedding_otherwise_is_merged(family, tmp_path, tokenizer):
    places = [tmp_path / name for name in "ab"]
    for seed, place in enumerate(places):
        save(place, family, tokenizer, seed=seed)
    (recipe,) = recipes.read_recipes(FOLDER, ["linear"])
    state = CHAPTER.merged(recipe.filled({"weight": [0.5, 0.5]}, places, places[0]), 0)
    merging.save_like(tmp_path / "mean", places[0], state)
    a, b, mean = (loading.load_model(each).state_dict() for each in (*places, tmp_path / "mean"))
    assert "lm_head.weight" in mean.keys() - state.keys()
    assert difference(mean, {name: (a[name] + b[name]) / 2 for name in a}) < 1e-6


@pytest.mark.parametrize("spoil", [lambda s: s.pop("lm_head.weight"), lambda s: s.update(x=1)])
def test_weights_that_are_not_the_models_are_not_put_into_it(models, spoil):
    model = loading.load_model(models / "a")
    state = dict(model.state_dict())
    spoil(state)
    with pytest.raises(FeatrackError, match="is not in both the model and its new weights"):
        merging.with_weights(model, state)


def test_what_mergekit_refuses_is_one_sentence(models):
    with pytest.raises(FeatrackError, match=r"mergekit can't merge by slerp: .*\.$"):
        merge(models, "slerp", {"t": "much"}, "a b", "origin")


def test_merges_of_tuned_parents_are_compared_and_others_are_not():
    tuned = {name: {"parent": "root", "train": [name]} for name in "abc"}
    lineage = Lineage(
        {
            "root": {"train": ["p"]},
            **tuned,
            "two": {"merge": ["a", "b"]},
            "three": {"merge": ["a", "b", "c"], "method": "linear"},
            "back": {"merge": ["root", "a"]},
            "again": {"merge": ["two", "c"]},
        }
    )
    every = recipes.read_recipes(FOLDER, ["all"])
    assert recipes.comparable(lineage, every) == ("two", "three")
    assert recipes.comparable(lineage, [r for r in every if r.name == "slerp"]) == ("two",)
    assert recipes.comparable(lineage, []) == ()


def test_a_merge_that_somebody_has_made_is_compared_as_one_made_here():
    loaded = {name: {"load": name, "parent": "root"} for name in "ab"}
    entries = {"root": {"load": "root"}, **loaded, "theirs": {"load": "x", "parent": ["a", "b"]}}
    every = recipes.read_recipes(FOLDER, ["all"])
    assert recipes.comparable(Lineage(entries, texts=["p"]), every) == ("theirs",)


@pytest.fixture(scope="module")
def page():
    """What the page of advice defines to judge differences."""
    return Chapter("which-merge")


@pytest.mark.parametrize(
    ("differences", "outcome"),
    [
        ({"x": (0.1, 0.02, 0.18), "y": (0, -0.01, 0.01)}, ("apart", ["x"])),
        ({"x": (-0.1, -0.18, -0.02)}, ("apart", ["x"])),
        ({"x": (0.01, -0.01, 0.03), "y": (0, -0.02, 0.02)}, ("alike", [])),
        ({"x": (0.01, -0.1, 0.12)}, ("unclear", [])),
        ({"x": (np.nan, np.nan, np.nan)}, ("unclear", [])),
        ({}, ("unclear", [])),
        # Just apart by itself, but not as one of twenty; and it isn't within five points either.
        ({"x": (0.1, 0.001, 0.2)}, ("apart", ["x"])),
        ({"x": (0.1, 0.001, 0.2)} | dict.fromkeys("abcdefghij", (0, 0, 0)), ("unclear", [])),
    ],
)
def test_methods_are_apart_alike_or_unclear_by_their_intervals(page, differences, outcome):
    given = {name: Interval(*figures) for name, figures in differences.items()}
    assert page.conclusion(given) == outcome


def test_an_interval_among_others_is_as_wide_as_bonferroni_has_it(page):
    interval = Interval(0.0, -1.96, 1.96)
    assert page.widened(interval, 1) == pytest.approx(interval)
    assert page.widened(interval, 10).high == pytest.approx(2.807, abs=1e-3)  # z of 0.9975


def test_twenty_differences_that_are_none_are_seldom_called_apart(page):
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(400):
        seen = {n: Interval(x, x - 0.196, x + 0.196) for n, x in enumerate(rng.normal(0, 0.1, 20))}
        false += page.conclusion(seen)[0] == "apart"
    assert false / 400 < 0.08


@pytest.mark.parametrize(
    ("ties", "dare", "sign", "advice"),
    [
        ((0.1, 0.05, 0.15), (0.2, 0.15, 0.25), 1, ("dare", "apart: 20.0 points from linear")),
        ((0.1, 0.05, 0.15), (-0.2, -0.25, -0.15), 1, ("ties", "apart: 10.0 points from linear")),
        ((0.1, 0.05, 0.15), (-0.2, -0.25, -0.15), -1, ("dare", "apart: −20.0 points from linear")),
        ((0, -0.01, 0.01), (-0.2, -0.25, -0.15), 1, ("linear", "apart: dare worse")),
        ((0, -0.01, 0.01), (0.01, -0.01, 0.03), 1, ("linear", "alike")),
        ((0, -0.01, 0.01), (0.1, -0.1, 0.3), 1, ("linear", "unclear")),
        ((0, -0.01, 0.01), (np.nan, np.nan, np.nan), 1, ("linear", "alike")),
        ((np.nan, np.nan, np.nan), (np.nan, np.nan, np.nan), 1, ("linear", "unclear")),
    ],
)
def test_advice_names_a_method_only_where_it_is_apart_and_to_the_better(ties, dare, sign, advice):
    page = Chapter("which-merge", reference="linear", setting=str)
    given = {"ties": Interval(*ties), "dare": Interval(*dare)}
    take, why = page.choice(given, margin=0.05, comparisons=2, sign=sign)
    assert (take, why.replace("\u00a0", " ")) == advice


def test_the_mean_of_separate_texts_has_the_interval_of_independent_errors(page):
    mean = page.mean_of([Interval(0.0, -0.3, 0.3), Interval(0.2, -0.2, 0.6)])
    assert mean == pytest.approx((0.1, -0.15, 0.35))  # √(0.3² + 0.4²) / 2


def test_ties_keeps_the_largest_entries_and_the_elected_sign():
    vectors = torch.tensor([[4.0, -3.0, 1.0, 0.5], [-2.0, -5.0, 0.2, 3.0]]).double()
    kept = torch.stack([CHAPTER.trimmed(v, 0.5) for v in vectors])
    assert kept.tolist() == [[4, -3, 0, 0], [0, -5, 0, 3]]
    assert CHAPTER.elected(kept).tolist() == [4, -4, 0, 3]
    assert CHAPTER.elected(vectors).tolist() == pytest.approx([4, -4, 0.6, 1.75])


def test_dare_keeps_the_sum_of_sizes_and_on_average_each_entry():
    draw = torch.Generator().manual_seed(0)
    vector = torch.linspace(-1, 1, 101).double()
    drawn = torch.stack([CHAPTER.dropped(vector, 0.5, draw) for _ in range(2000)])
    torch.testing.assert_close(drawn.abs().sum(1), vector.abs().sum().expand(2000))
    torch.testing.assert_close(drawn.mean(dim=0), vector, rtol=0, atol=0.08)
    assert 0.45 < (drawn != 0).double().mean() < 0.55
