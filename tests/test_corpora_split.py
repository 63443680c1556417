"""What falls into training and validation, and how much of it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featrack_utils.corpora import split
from featrack_utils.corpora.documents import Document, SourceConfig
from featrack_utils.corpora.split import (
    assign_groups,
    documents_of,
    place,
)
from featrack_utils.errors import FeatrackError
from tests.chapters import Chapter

WORDS = [f"w{i}" for i in range(500)]


def split_of(group, share, seed):
    """The side by the hash alone."""
    return "validation" if place(group, seed) < share else "train"


def invented(n_groups, n_each=4, seed=0, n_words=60):
    """Documents of random words: no two share thirteen in a row."""
    rng = random.Random(seed)
    return [
        Document(" ".join(rng.choices(WORDS, k=n_words)), origin=f"o{seed}/{g}/{i}", group=f"g{g}")
        for i in range(n_each)
        for g in range(n_groups)
    ]


@pytest.fixture
def give(monkeypatch):
    """Replaces the sources by given documents for each domain."""

    def given_documents(**by_domain):
        monkeypatch.setattr(
            split, "documents_of", lambda domain, source, seed: iter(by_domain[domain])
        )

    return given_documents


def collected(**options):
    budget = {"train_chars": 5_000, "validation_chars": 2_000, "validation_share": 0.3, "seed": 1}
    return collect("lua", **{**budget, **options})


def collect(domain, *, train_chars, validation_chars, **options):
    found = Chapter("corpora").collect(
        {domain: SourceConfig.read(domain, {})},
        wanted={domain: {"train": train_chars, "validation": validation_chars}},
        **options,
    )
    return found[domain]


def chars(documents):
    return sum(len(d.text) for d in documents)


def test_the_budget_is_filled_to_the_character_and_groups_stay_together(give):
    give(lua=invented(20))
    found = collected()
    assert chars(found["train"]) == 5_000 and chars(found["validation"]) == 2_000
    for name, documents in found.items():
        assert {split_of(d.group, 0.3, 1) for d in documents} == {name}


def test_collecting_twice_gives_the_same(give):
    give(lua=invented(20))
    assert collected() == collected()


def test_reading_stops_when_both_sides_are_full(monkeypatch):
    def endless(domain, source, seed):
        number = 0
        while True:
            yield from invented(12, n_each=1, seed=number)
            number += 1

    monkeypatch.setattr(split, "documents_of", endless)
    assert chars(collected()["train"]) == 5_000


def test_reading_stops_where_no_group_ever_falls_in_validation(monkeypatch):
    monkeypatch.setattr(split, "LOOK_AHEAD", 50_000)

    def endless(domain, source, seed):
        for number in range(10**9):
            yield from invented(12, n_each=1, seed=number)

    monkeypatch.setattr(split, "documents_of", endless)
    found = collected(validation_share=0.0001, validation_chars=4)
    assert len({d.group for d in found["train"]}) == 10


def test_stories_for_validation_come_from_a_dozen_plots_that_training_never_tells():
    budget = {"train_chars": 120_000, "validation_chars": 60_000}
    found = collect("stories", **budget, validation_share=0.08, seed=1337)
    train, validation = ({d.group for d in found[name]} for name in ("train", "validation"))
    assert len(validation) >= 12
    assert len(train) >= 40
    assert train.isdisjoint(validation)


def test_a_long_origin_leaves_room_for_others(give):
    long = [Document(" ".join(WORDS) * 20, "long", "g0")]
    give(lua=long + invented(20, n_each=30))
    found = collected(train_chars=80_000, validation_chars=2_000)
    by_origin = chars([d for d in found["train"] + found["validation"] if d.origin == "long"])
    assert 0 < by_origin <= 80_000 // 40


def test_too_little_text_is_used_whole_with_a_warning(give, caplog):
    documents = invented(12)
    give(lua=documents)
    found = collected(train_chars=10**6, validation_chars=10**6)
    assert chars(found["train"]) + chars(found["validation"]) == chars(documents)
    assert "1000000 were wanted" in caplog.text


def test_text_of_one_domain_that_another_validates_on_leaves(give):
    copied = " ".join(WORDS[:20])
    python, english = invented(20, seed=1), invented(20, seed=2)
    leaking = next(d for d in english if split_of(d.group, 0.3, 1) == "train")
    validated = next(d for d in python if split_of(d.group, 0.3, 1) == "validation")
    leak = Document(f"{leaking.text}\n\n{copied}", leaking.origin, leaking.group)
    give(
        english=[leak, *english],
        python=[Document(copied, validated.origin, validated.group), *python],
    )
    splits = Chapter("corpora").collect(
        {domain: SourceConfig.read(domain, {}) for domain in ("english", "python")},
        wanted={d: {"train": 3_000, "validation": 900} for d in ("english", "python")},
        validation_share=0.3,
        seed=1,
    )
    assert any(copied in d.text for d in splits["python"]["validation"])
    assert not any(copied in d.text for d in splits["english"]["train"])
    assert any(leaking.text in d.text for d in splits["english"]["train"])


def test_no_text_and_a_single_group_are_refused(give):
    give(lua=[])
    with pytest.raises(FeatrackError, match="0 group"):
        collected()
    give(lua=invented(1))
    with pytest.raises(FeatrackError, match="1 group"):
        collected()


def test_a_training_side_of_copies_is_refused(give):
    first, second = invented(2, n_each=1)
    side = assign_groups(["g0", "g1"], 0.3, 1)
    train, validation = (first, second) if side["g0"] == "train" else (second, first)
    give(lua=[validation, Document("so " + validation.text, train.origin, train.group)])
    with pytest.raises(FeatrackError, match="no text for train"):
        collected()


@given(st.sets(st.text(max_size=5), max_size=40), st.floats(0.001, 0.999), st.integers(0, 2**31))
def test_every_split_has_enough_groups_and_follows_the_hash_otherwise(groups, share, seed):
    side = assign_groups(sorted(groups), share, seed)
    n_validation = sum(name == "validation" for name in side.values())
    if len(groups) >= 2:
        assert 1 <= n_validation <= len(groups) - 1
    fewest = max(1, min(12, len(groups) // 5))
    assert n_validation >= min(fewest, max(len(groups) - 1, 0))
    moved = [g for g in groups if side[g] != split_of(g, share, seed)]
    to_validation = [g for g in moved if side[g] == "validation"]
    assert not to_validation or n_validation == fewest
    assert len(moved) - len(to_validation) <= 1


def test_validation_has_a_dozen_groups_where_a_fifth_are_as_many():
    for n, fewest in {2: 1, 9: 1, 10: 2, 20: 4, 59: 11, 60: 12, 65: 12, 2000: 12}.items():
        side = assign_groups(map(str, range(n)), 1e-9, seed=1)
        assert list(side.values()).count("validation") == fewest


def test_the_rule_does_not_depend_on_the_order_of_groups():
    groups = [f"plot/{i}" for i in range(12)]
    assert assign_groups(groups, 0.05, 3) == assign_groups(groups[::-1], 0.05, 3)


def test_a_domain_of_ones_own_name_reads_the_embedded_text_that_its_source_names():
    sources = {"tales": {"text": "stories"}, "code": {"text": "python"}}
    configs = {name: SourceConfig.read(name, source) for name, source in sources.items()}
    found = {name: next(documents_of(name, each, seed=0)) for name, each in configs.items()}
    assert found["tales"].group.startswith("plot/")
    assert found["code"].group.startswith("python/")
    with pytest.raises(FeatrackError, match=r"french reads .* 'french', which isn't there"):
        SourceConfig.read("french", {})
