"""What becomes of planted features along lineages of several shapes."""

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.lineage import Lineage
from featrack_utils.matching import flow
from tests.planted_matches import all_matches

N = 300
PAPER = Lineage(
    {
        "base": {"train": ["english"]},
        "lua": {"parent": "base", "train": ["lua"]},
        "stories": {"parent": "base", "train": ["stories"]},
        "merged": {"merge": ["lua", "stories"]},
    }
)
CHAIN = Lineage(
    {
        "a": {"train": ["english"]},
        "b": {"parent": "a", "train": ["lua"]},
        "c": {"parent": "b", "train": ["stories"]},
        "d": {"parent": "c", "train": ["python"]},
    }
)
OF_THREE = Lineage(
    {
        "a": {"train": ["english"]},
        **{name: {"parent": "a", "train": ["lua"]} for name in ("b", "c", "d")},
        "all": {"merge": ["b", "c", "d"], "method": "linear"},
    }
)


def dictionary(*kinds):
    """One feature for each kind: features of a kind are the same; "-" is silent."""

    def column(kind):
        rng = np.random.default_rng(ord(kind))
        return np.zeros(N) if kind == "-" else rng.exponential(size=N) * (rng.random(N) < 0.2)

    acts = sparse.csr_matrix(np.float32([column(kind) for kind in kinds]).T)
    where = np.arange(N, dtype=np.int32)
    return Features(acts, where // 5, np.zeros(N, np.int8), where)


def named(lineage, **kinds):
    found = {model: dictionary(*text) for model, text in kinds.items()}
    best = all_matches(lineage, found, 5, 3)
    numbers = flow.classes(lineage, flow.tracked(lineage, best, 0.8))
    return {m: [flow.CLASSES[number][:3] for number in some] for m, some in numbers.items()}


def test_in_the_papers_lineage_a_feature_is_named_by_its_neighbours():
    assert named(PAPER, base="xyz-", lua="xpz-", stories="xqr-", merged="xpyn") == {
        "base": ["per", "dis", "per", "uno"],  # y is in the merged model, which is no neighbour
        "lua": ["per", "eme", "per", "uno"],
        "stories": ["per", "eme", "eme", "uno"],
        "merged": ["inh", "inh", "nov", "nov"],
    }


def test_in_a_chain_each_model_is_named_by_its_parent_and_the_first_by_its_child():
    assert named(CHAIN, a="xy", b="xz", c="xy", d="yw") == {
        "a": ["per", "dis"],
        "b": ["per", "eme"],
        "c": ["per", "eme"],  # y is back, but not from its parent
        "d": ["per", "eme"],
    }


def test_a_merge_of_three_inherits_from_any_of_them():
    found = named(OF_THREE, a="xy", b="xp", c="xq", d="xr", all="xpqrn"[:5])
    assert found["all"] == ["inh", "inh", "inh", "inh", "nov"]
    assert found["a"] == ["per", "dis"]


@pytest.mark.parametrize(
    ("lineage", "kinds", "shared"),
    [
        (PAPER, {"base": "xyz", "lua": "yx", "stories": "xz", "merged": "wxz"}, "x"),
        (CHAIN, {"a": "xyz", "b": "yxz", "c": "xy", "d": "yz"}, "y"),
        (OF_THREE, {"a": "xyz", "b": "xz", "c": "zx", "d": "xp", "all": "pqx"}, "x"),
    ],
)
def test_a_universal_feature_is_in_every_model_of_any_lineage(lineage, kinds, shared):
    found = {model: dictionary(*text) for model, text in kinds.items()}
    best = all_matches(lineage, found, 5, 3)
    for model, mask in flow.in_chains(lineage, best, 0.8).items():
        assert [kind for kind, has in zip(kinds[model], mask, strict=True) if has] == [shared]
