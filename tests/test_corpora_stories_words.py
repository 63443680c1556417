"""Word forms, speech and the template language, on examples one can check by eye."""

from __future__ import annotations

import random

from featrack_utils.corpora.stories.cast import plural, table
from featrack_utils.corpora.stories.telling import Telling, cast_of, sections, tidied


def test_activities_have_their_forms():
    forms = {row.name: row.columns for row in table("activities")}
    assert forms["run races"] == ("ran races", "running races")
    assert all(len(columns) == 2 for columns in forms.values())
    assert all(ing.split()[0].endswith("ing") for _, ing in forms.values())


def test_nouns_take_their_plurals():
    singular = ["fox", "berry", "mouse", "loaf", "toy monkey", "wolf pup", "paper plane", "bush"]
    many = ["foxes", "berries", "mice", "loaves", "toy monkeys", "wolf pups", "paper planes"]
    assert [plural(noun) for noun in singular] == [*many, "bushes"]


def test_articles_go_by_sound():
    assert tidied(["A old hat and a apple for a bear."]) == "An old hat and an apple for a bear."
    assert tidied(["A hour, a unicorn, a one-eared cat."]) == "An hour, a unicorn, a one-eared cat."


MIA = {"": "Mia", "he": "she", "his": "her", "him": "her", "himself": "herself", "garment": "hat"}


def ways_to_say(sentences: str) -> set[str]:
    rules = {"beat-plain": ["nodded"]}
    told = Telling(random.Random(3), rules, {"F": MIA})
    return {told.render(f"<<F: {sentences}>>") for _ in range(300)}


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
    told = telling("{H} lost {H.his} hat. {H.He} cried.", H=MIA)
    assert told == "Mia lost her hat. She cried."


def test_choices_nest():
    assert {telling_with(seed, "[a|b[c|d]]") for seed in range(50)} == {"a", "bc", "bd"}


def telling_with(seed: int, text: str) -> str:
    return Telling(random.Random(seed), {}, {}).render(text)


def test_a_rule_speaks_of_whom_it_is_given_and_does_not_repeat_itself():
    rules = {"glad": ["{X} smiled", "{X} sang"]}
    told = Telling(random.Random(0), rules, {"H": MIA}).render("<glad H>, <glad H>")
    assert sorted(told.split(", ")) == ["Mia sang", "Mia smiled"]


def test_a_rule_speaks_of_a_friend_only_where_the_plot_does():
    rules = {"glad": ["{F} sang", "{H} smiled", "<<R: Oh.>>"]}
    ways = {
        Telling(random.Random(seed), rules, {"H": MIA, "F": MIA}, frozenset(cast)).render("<glad>")
        for seed in range(20)
        for cast in ("", "T")
    }
    assert ways == {"Mia smiled"}


def test_a_template_names_those_of_the_cast_that_it_speaks_of():
    assert cast_of("[{T.a}|<sad F>] <<K: Hello, {H}.>>") == {"T", "F", "K"}


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
