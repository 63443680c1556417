"""Word forms, speech and the template language, on examples one can check by eye."""

from __future__ import annotations

import random

import pytest

from featrack_utils.corpora.stories.agreement import (
    article,
    fix_articles,
    ing,
    past,
    plural,
    third_person,
)
from featrack_utils.corpora.stories.dialogue import spoken
from featrack_utils.corpora.stories.grammar import Telling, mentioned, parse_line
from featrack_utils.corpora.stories.world import sections, table


@pytest.mark.parametrize(
    ("verb", "in_the_past", "with_ing", "with_s"),
    [
        ("run", "ran", "running", "runs"),
        ("hop", "hopped", "hopping", "hops"),
        ("bake", "baked", "baking", "bakes"),
        ("carry", "carried", "carrying", "carries"),
        ("play", "played", "playing", "plays"),
        ("lie", "lay", "lying", "lies"),
        ("see", "saw", "seeing", "sees"),
        ("catch", "caught", "catching", "catches"),
        ("go", "went", "going", "goes"),
        ("look", "looked", "looking", "looks"),
        ("draw", "drew", "drawing", "draws"),
        ("mix", "mixed", "mixing", "mixes"),
        ("water", "watered", "watering", "waters"),
        ("swing", "swung", "swinging", "swings"),
    ],
)
def test_verbs_take_their_forms(verb, in_the_past, with_ing, with_s):
    assert (past(verb), ing(verb), third_person(verb)) == (in_the_past, with_ing, with_s)


def test_nouns_take_their_plurals():
    singular = ["fox", "berry", "mouse", "loaf", "toy monkey", "wolf pup", "paper plane", "bush"]
    many = ["foxes", "berries", "mice", "loaves", "toy monkeys", "wolf pups", "paper planes"]
    assert [plural(noun) for noun in singular] == [*many, "bushes"]


def test_articles_go_by_sound():
    assert [article(word) for word in ("apple", "hour")] == ["an", "an"]
    assert [article(word) for word in ("pear", "unicorn", "one-eared")] == ["a", "a", "a"]
    assert fix_articles("A old hat and a apple for a bear") == "An old hat and an apple for a bear"


MIA = {"": "Mia", "he": "she", "his": "her", "him": "her", "himself": "herself"}


def ways_to_say(words: str, mood: str = "") -> set[str]:
    rng = random.Random(3)
    return {spoken(rng, MIA, words, mood, lambda: "nodded") for _ in range(300)}


def test_a_statement_before_its_speaker_ends_with_a_comma():
    ways = ways_to_say("I see a fox.")
    assert '"I see a fox," said Mia.' in ways
    assert 'Mia said, "I see a fox."' in ways
    assert 'Mia nodded. "I see a fox," she said.' in ways


def test_a_question_is_asked_and_keeps_its_mark():
    ways = ways_to_say("Where is it?")
    assert '"Where is it?" asked Mia.' in ways
    assert not any("told" in way or "?," in way for way in ways)


def test_two_sentences_may_be_parted_by_the_speaker():
    assert '"Oh no," said Mia. "It broke!"' in ways_to_say("Oh no. It broke!")
    assert not any("Mrs," in way for way in ways_to_say("Mrs. Bell is here."))


def telling(text: str, **entities: dict[str, str]) -> str:
    return Telling(random.Random(0), {}, entities).render(text)


def test_slots_take_forms_and_capitals():
    told = telling("{H} lost {his} hat. {He} cried.", H=MIA)
    assert told == "Mia lost her hat. She cried."


def test_choices_nest():
    assert {telling_with(seed, "[a|b[c|d]]") for seed in range(50)} == {"a", "bc", "bd"}


def telling_with(seed: int, text: str) -> str:
    return Telling(random.Random(seed), {}, {}).render(text)


def test_a_rule_speaks_of_whom_it_is_given_and_does_not_repeat_itself():
    rules = {"glad": [parse_line("{X} smiled"), parse_line("{X} sang")]}
    told = Telling(random.Random(0), rules, {"H": MIA}).render("<glad H>, <glad H>")
    assert sorted(told.split(", ")) == ["Mia sang", "Mia smiled"]


def test_flags_allow_and_forbid_a_line():
    line = parse_line("?out,!night They ran.")
    assert line.allowed({"out"})
    assert not line.allowed({"out", "night"})
    assert not line.allowed(set())


def test_a_template_names_those_it_speaks_of():
    assert mentioned("[{T.a}|<sad F>] <<K: Hello, {H}.>>") == {"T", "F", "K", "H"}


def test_brackets_match_in_every_line_of_plots_and_rules():
    for kind in ("plots", "rules"):
        for name, lines in sections(kind).items():
            for line in lines:
                for pair in ("[]", "{}"):
                    assert line.count(pair[0]) == line.count(pair[1]), f"{name}: {line}"
                assert line.count("<") == line.count(">"), f"{name}: {line}"


def test_what_is_eaten_is_no_thing_and_every_row_has_classes():
    assert {row.name for row in table("foods")}.isdisjoint(row.name for row in table("things"))
    for name in ("things", "foods", "places", "creatures"):
        assert all(row.classes for row in table(name))
