"""Origins of a merge's features and the flow's balance, for any lineage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from featrack_utils.lineage import Lineage
from featrack_utils.matching.classes import classify
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.flow import flow, origin_masks, origin_names, origins, steps

PAPER = Lineage(
    {
        "base": {"train": ["english", "python"]},
        "lua": {"parent": "base", "train": ["lua"]},
        "stories": {"parent": "base", "train": ["stories"]},
        "merged": {"merge": ["lua", "stories"]},
    }
)


def acts_of(events, columns):
    """Activations of features that each watch one of the events; a None is a dead feature."""
    silent = np.zeros(events.shape[0])
    watched = [silent if k is None else events[:, k] for k in columns]
    return sparse.csr_matrix(np.column_stack(watched).astype(np.float32))


EVENTS = np.random.default_rng(0).exponential(size=(3000, 12)) * (
    np.random.default_rng(1).random((3000, 12)) < 0.05
)
# Which event each feature watches. Event 0 goes through all four models.
BASE = acts_of(EVENTS, [0, 1, 2, 3, None])
LUA = acts_of(EVENTS, [4, 0, 1, 5])
STORIES = acts_of(EVENTS, [0, 6, 2])
MERGED = acts_of(EVENTS, [5, 6, 0, 7, 1, None])


def tracked(a, b, rule="best", tau=0.8):
    return classify(correlations(a, b), tau, rule)


def four_steps(rule):
    models = {"base": BASE, "lua": LUA, "stories": STORIES, "merged": MERGED}
    return {(a, b): tracked(models[a], models[b], rule) for a, b in steps(PAPER)}


@pytest.mark.parametrize("rule", ["best", "mutual", "assignment"])
def test_merged_features_come_from_where_they_were_planted(rule):
    found = origins(PAPER, "merged", four_steps(rule))
    assert list(found) == ["lua only", "stories only", "both", "novel", "lua only", "unobserved"]


def test_planted_features_flow_as_counted_by_hand():
    table = flow(PAPER, four_steps("mutual"))
    rows = {tuple(row[:4]): row[4] for row in table.itertuples(index=False)}
    assert rows == {
        ("base", "eligible", "lua", "from base"): 2,
        ("base", "eligible", "lua", "disappearing"): 2,
        ("outside", "new", "lua", "new"): 2,
        ("lua", "from base", "merged", "both"): 1,
        ("lua", "from base", "merged", "lua only"): 1,
        ("lua", "new", "merged", "lua only"): 1,
        ("lua", "new", "merged", "disappearing"): 1,
        ("base", "eligible", "stories", "from base"): 2,
        ("base", "eligible", "stories", "disappearing"): 2,
        ("outside", "new", "stories", "new"): 1,
        ("stories", "from base", "merged", "both"): 1,
        ("stories", "from base", "merged", "disappearing"): 1,
        ("stories", "new", "merged", "stories only"): 1,
        ("outside", "new", "merged", "novel"): 1,
    }


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from(["best", "mutual", "assignment"]))
def test_volumes_add_up_at_every_class_whatever_is_copied_or_dead(seed, rule):
    rng = np.random.default_rng(seed)
    watched = rng.integers(0, 12, size=(4, 15))  # fifteen watchers of twelve events: copies
    models = []
    for columns in watched:
        acts = acts_of(EVENTS[:600], columns).toarray()
        acts[:, 0] = 0
        acts += acts * rng.exponential(size=acts.shape) / 2  # copies differ a little
        models.append(sparse.csr_matrix(acts.astype(np.float32)))
    models = dict(zip(PAPER.order, models, strict=True))
    trackings = {(a, b): tracked(models[a], models[b], rule, 0.6) for a, b in steps(PAPER)}
    table = flow(PAPER, trackings)

    def volume(**where):
        chosen = np.logical_and.reduce([table[name] == value for name, value in where.items()])
        return int(table.loc[chosen, "volume"].sum())

    found = origins(PAPER, "merged", trackings)
    for stage in ("lua", "stories"):
        child, parent = trackings["base", stage].child, trackings[stage, "merged"].parent
        eligible_base = (trackings["base", stage].parent != "unobserved").sum()
        assert volume(source_stage="base", source_class="eligible", target_stage=stage) == (
            eligible_base
        )
        for kind, size in (("from base", "matched"), ("new", "emerging")):
            size = (child == size).sum()
            assert volume(target_stage=stage, target_class=kind) == size
            assert volume(source_stage=stage, source_class=kind) == size
        gone = volume(source_stage=stage, target_class="disappearing")
        assert gone == (parent == "disappearing").sum()
        for origin in ("both", f"{stage} only"):
            entering = volume(source_stage=stage, target_stage="merged", target_class=origin)
            assert entering == (found == origin).sum()
    assert volume(target_class="novel") == (found == "novel").sum()
    if rule != "best":
        assert volume(target_class="fused") == volume(source_class="split") == 0


def test_a_chain_of_tunes_flows_from_one_to_the_next():
    lineage = Lineage(
        {
            "root": {"train": ["english"]},
            "chat": {"parent": "root", "train": ["chat"]},
            "code": {"parent": "chat", "train": ["code"]},
        }
    )
    links = {("root", "chat"): tracked(BASE, LUA), ("chat", "code"): tracked(LUA, MERGED)}
    rows = {tuple(row[:4]): row[4] for row in flow(lineage, links).itertuples(index=False)}
    assert rows == {
        ("root", "eligible", "chat", "from root"): 2,
        ("root", "eligible", "chat", "disappearing"): 2,
        ("outside", "new", "chat", "new"): 2,
        ("chat", "from root", "code", "from chat"): 2,
        ("chat", "new", "code", "from chat"): 1,
        ("chat", "new", "code", "disappearing"): 1,
        ("outside", "new", "code", "new"): 2,
    }


def test_a_merge_of_three_tells_all_from_several_from_one():
    lineage = Lineage(
        {
            "root": {"train": ["english"]},
            **{name: {"parent": "root", "train": [name]} for name in "xyz"},
            "mix": {"merge": ["x", "y", "z"], "method": "linear"},
        }
    )
    columns = {"x": [0, 1, 3], "y": [0, 1, 2], "z": [0, 2, 9]}
    models = {name: acts_of(EVENTS, events) for name, events in columns.items()}
    models |= {"root": acts_of(EVENTS, [0, 1, 2, 3]), "mix": acts_of(EVENTS, [0, 1, 3, 8, None])}
    trackings = {(a, b): tracked(models[a], models[b]) for a, b in steps(lineage)}
    expected = ["all", "several", "x only", "novel", "unobserved"]
    assert list(origins(lineage, "mix", trackings)) == expected
    into = flow(lineage, trackings).query("target_stage == 'mix'")
    volumes = into.groupby("target_class")["volume"].sum()
    assert volumes["all"] == 3 and volumes["several"] == 2 and volumes["x only"] == 1


@given(st.integers(2, 4), st.integers(0, 1000))
def test_every_feature_of_a_merge_has_one_origin(n_parents, seed):
    rng = np.random.default_rng(seed)
    found = {f"p{k}": rng.random((2, 20)) < 0.5 for k in range(n_parents)}
    masks = origin_masks(found)
    assert tuple(masks) == origin_names(tuple(found))
    assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()
