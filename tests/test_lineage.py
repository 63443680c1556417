"""A lineage answers who descends from whom, and refuses what can't be one."""

import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage, label
from featrack_utils.pipeline import store

PAPER = {
    "base": {"train": ["english", "python"]},
    "lua": {"parent": "base", "train": ["lua"]},
    "stories": {"parent": "base", "train": ["stories"]},
    "merged": {"merge": ["lua", "stories"], "method": "slerp", "t": "balanced"},
}
CHAIN = {
    "a": {"train": ["english"]},
    "b": {"parent": "a", "train": ["lua"]},
    "c": {"parent": "b", "train": ["stories"]},
    "d": {"parent": "c", "train": ["python"]},
}


def test_the_papers_lineage_has_five_edges_and_one_root():
    lineage = Lineage(PAPER)
    assert lineage.root == "base"
    assert lineage.edges == (
        ("base", "lua"),
        ("base", "stories"),
        ("lua", "merged"),
        ("stories", "merged"),
        ("base", "merged"),
    )
    assert lineage.merges == ("merged",) and lineage.tuned == ("lua", "stories")


def test_a_dictionary_reads_what_its_model_and_its_ancestors_have_read():
    lineage = Lineage(PAPER)
    assert lineage.domains == ("english", "python", "lua", "stories")
    assert lineage.reads("base") == ("english", "python")
    assert lineage.reads("stories") == ("english", "python", "stories")
    assert lineage.reads("merged") == ("english", "python", "lua", "stories")


def test_a_chain_has_an_edge_for_each_step():
    lineage = Lineage(CHAIN)
    assert lineage.edges == (("a", "b"), ("b", "c"), ("c", "d"))
    assert lineage.ancestors("d") == ("a", "b", "c")
    assert lineage.common_ancestor(["d", "b"]) == "b"
    assert lineage.reads("c") == ("english", "lua", "stories")


def test_a_merge_of_three_has_an_edge_from_each_and_from_their_ancestor():
    models = CHAIN | {name: {"parent": "a", "train": [name]} for name in "xyz"}
    models = models | {"m": {"merge": ["x", "y", "z"], "method": "linear"}}
    edges = Lineage(models).edges
    assert [pair for pair in edges if pair[1] == "m"] == [
        ("x", "m"),
        ("y", "m"),
        ("z", "m"),
        ("a", "m"),
    ]


def test_parents_come_first_however_they_are_written():
    backwards = dict(reversed(PAPER.items()))
    assert Lineage(backwards).order == ("base", "stories", "lua", "merged")


def test_an_unknown_model_is_answered_with_the_nearest():
    with pytest.raises(FeatrackError, match="the nearest is stories"):
        Lineage(PAPER).reads("story")


def test_a_run_without_a_lineage_says_what_to_do(tmp_path):
    with pytest.raises(FeatrackError, match="run `make book` first"):
        store.open_lineage(tmp_path)
    (tmp_path / "lineage.json").write_text("{")
    with pytest.raises(FeatrackError, match="is damaged"):
        store.open_lineage(tmp_path)


def test_a_name_is_read_with_a_capital():
    assert label("my-chat") == "My-chat"
