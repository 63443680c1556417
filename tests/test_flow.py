"""Origins of the merged model's features, the flow's balance, and universal chains."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import classify
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.flow import flow, origins_of_merged, universal_chains


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


def four(rule):
    pairs = ((BASE, LUA), (BASE, STORIES), (LUA, MERGED), (STORIES, MERGED))
    return [tracked(a, b, rule) for a, b in pairs]


@pytest.mark.parametrize("rule", ["best", "mutual", "assignment"])
def test_merged_features_come_from_where_they_were_planted(rule):
    origins = origins_of_merged(*four(rule)[2:])
    assert list(origins) == ["lua only", "stories only", "both", "novel", "lua only", "unobserved"]


def test_planted_features_flow_as_counted_by_hand():
    table = flow(*four("mutual"))
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


@settings(max_examples=20, deadline=None)
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
    base, lua, stories, merged = models
    pairs = ((base, lua), (base, stories), (lua, merged), (stories, merged))
    trackings = [tracked(a, b, rule, 0.6) for a, b in pairs]
    table = flow(*trackings)

    def volume(**where):
        chosen = np.logical_and.reduce([table[name] == value for name, value in where.items()])
        return int(table.loc[chosen, "volume"].sum())

    origins = origins_of_merged(*trackings[2:])
    for k, stage in enumerate(("lua", "stories")):
        child, parent = trackings[k].child, trackings[2 + k].parent
        eligible_base = (trackings[k].parent != "unobserved").sum()
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
            assert entering == (origins == origin).sum()
    assert volume(target_class="novel") == (origins == "novel").sum()
    if rule != "best":
        assert volume(target_class="fused") == volume(source_class="split") == 0


def test_the_planted_chain_through_four_models_is_found_and_no_other():
    best = [
        correlations(a, b)
        for a, b in ((BASE, LUA), (BASE, STORIES), (LUA, MERGED), (STORIES, MERGED), (BASE, MERGED))
    ]
    chains = universal_chains(*best, 0.8)
    assert chains[["base", "lua", "stories", "merged"]].to_numpy().tolist() == [[0, 1, 0, 2]]
    assert chains.min_r[0] == pytest.approx(1) and chains.r_base_merged[0] == pytest.approx(1)


def test_a_chain_is_as_strong_as_its_weakest_link_and_the_strongest_is_kept():
    def noisy(columns, level, seed):
        rng = np.random.default_rng(seed)
        acts = acts_of(EVENTS, columns).toarray()
        return sparse.csr_matrix(
            (acts * (1 + level * rng.exponential(size=acts.shape))).astype(np.float32)
        )

    base, lua, stories, merged = (
        noisy([0], 0, 0),
        noisy([0, 0], 2, 1),
        noisy([0, 0, 0], 1, 2),
        noisy([0, 0], 0.5, 3),
    )
    r = {
        name: np.corrcoef(a.toarray().T, b.toarray().T)[: a.shape[1], a.shape[1] :]
        for name, a, b in (
            ("bl", base, lua),
            ("bs", base, stories),
            ("lm", lua, merged),
            ("sm", stories, merged),
        )
    }
    strength = {
        (j, k, m): min(r["bl"][0, j], r["bs"][0, k], r["lm"][j, m], r["sm"][k, m])
        for j in range(2)
        for k in range(3)
        for m in range(2)
    }
    chains = universal_chains(
        *(
            correlations(a, b)
            for a, b in (
                (base, lua),
                (base, stories),
                (lua, merged),
                (stories, merged),
                (base, merged),
            )
        ),
        0.4,
    )
    assert len(chains) == 1
    assert chains.min_r[0] == pytest.approx(max(strength.values()), abs=1e-6)
    found = tuple(int(v) for v in chains[["lua", "stories", "merged"]].to_numpy()[0])
    assert strength[found] == pytest.approx(max(strength.values()), abs=1e-6)


def test_without_chains_the_table_is_empty_but_has_its_columns():
    none = correlations(BASE, acts_of(EVENTS, [8, 9]))
    other = correlations(acts_of(EVENTS, [8, 9]), MERGED)
    chains = universal_chains(none, none, other, other, correlations(BASE, MERGED), 0.8)
    assert isinstance(chains, pd.DataFrame) and len(chains) == 0
    assert {"base", "merged", "min_r", "r_base_merged"} <= set(chains.columns)


def test_trackings_that_dont_belong_together_are_refused():
    base_lua, base_stories, lua_merged, stories_merged = four("best")
    with pytest.raises(FeatrackError, match="base"):
        flow(base_lua, lua_merged, lua_merged, stories_merged)
    with pytest.raises(FeatrackError, match="lua"):
        flow(base_lua, base_stories, stories_merged, stories_merged)
    with pytest.raises(FeatrackError, match="alike"):
        origins_of_merged(lua_merged, tracked(STORIES, MERGED, "mutual"))
    high = correlations(BASE, LUA, floor=0.9)
    with pytest.raises(FeatrackError, match="floor"):
        universal_chains(high, high, high, high, high, 0.8)
