"""The stories are whole, coherent in their forms, and don't repeat themselves."""

from __future__ import annotations

import itertools
import re

import pytest

from featrack_utils.corpora.split import place
from featrack_utils.corpora.stories.cast import table, words
from featrack_utils.corpora.stories.telling import plots, write_stories
from tests.chapters import Chapter

overlap = Chapter("corpora")

# Each plot is told twenty-odd times: some 300,000 words in all.
STORIES = 1400


@pytest.fixture(scope="module")
def stories():
    return list(itertools.islice(write_stories(seed=11), STORIES))


def hero_of(text: str) -> str:
    """The first name that the opening gives, after the words that start sentences."""
    names = {name for kind in ("girl", "boy", "she", "he") for name in words()[kind]}
    return next(word for word in re.findall(r"[A-Z][a-z]+", text) if word in names)


def test_the_same_seed_tells_the_same_stories_and_another_seed_others(stories):
    assert list(itertools.islice(write_stories(11), 20)) == stories[:20]
    assert [story.text for story in itertools.islice(write_stories(12), 20)] != [
        story.text for story in stories[:20]
    ]


def test_every_story_ends_with_closing_punctuation(stories):
    assert [s.text[-60:] for s in stories if not s.text.endswith((".", "!", "?", '"'))] == []


def test_quotation_marks_come_in_pairs_in_every_paragraph(stories):
    paragraphs = (part for story in stories for part in story.text.split("\n\n"))
    assert [part for part in paragraphs if part.count('"') % 2] == []


def test_nothing_of_the_templates_is_left(stories):
    assert [story.text for story in stories if re.search(r"[\[\]{}<>|/@~_=]", story.text)] == []


def test_blanks_and_punctuation_are_tidy(stories):
    untidy = re.compile(r"  | [.,?!](?!\.\.)| \n|[.,?!]{2}(?<!\.\.)|\n{3}|^\s|\s$|,\"? *\.|\.\"\.")
    assert [untidy.search(s.text)[0] for s in stories if untidy.search(s.text)] == []


def test_sentences_start_with_a_capital(stories):
    small = re.compile(r"(?<!Mr)(?<!Mrs)(?<!\.\.)[.?!] [a-z]|(?:^|\n\n)\"?[a-z]")
    assert [m[0] for s in stories for m in small.finditer(s.text)] == []


def test_a_and_an_stand_before_the_right_sounds(stories):
    wrong = set()
    for story in stories:
        for small, word in re.findall(r"\b([Aa]n?) ([A-Za-z]+)", story.text):
            vowel = word[0] in "aeiouAEIOU" and word not in {"one", "ukulele", "unicorn", "useful"}
            if (small.lower() == "an") != (vowel or word in {"hour", "honest"}):
                wrong.add(f"{small} {word}")
    assert wrong == set()


def test_no_word_is_said_twice_running_and_no_noun_has_two_articles(stories):
    slip = re.compile(r"\b(?!(?:that|had|ha)\b)(\w+) \1\b|\b(?:the|its|his|my) an? ")
    assert [slip.search(s.text)[0] for s in stories if slip.search(s.text)] == []


def test_she_and_he_follow_the_hero(stories):
    pronoun = {name: "he" for kind in ("boy", "he") for name in words()[kind]}
    pronoun |= {name: "she" for kind in ("girl", "she") for name in words()[kind]}
    told = [re.match(r"There once was .*? and (her|his) name was (\w+)\.", s.text) for s in stories]
    pairs = [(match[1], match[2]) for match in told if match]
    assert len(pairs) > 10
    assert all(his == {"she": "her", "he": "his"}[pronoun[name]] for his, name in pairs)


def test_every_story_names_its_hero_at_least_twice(stories):
    assert [s.text for s in stories if len(re.findall(hero_of(s.text), s.text)) < 2] == []


def test_stories_are_one_hundred_to_three_hundred_and_fifty_words_long(stories):
    lengths = [len(story.text.split()) for story in stories]
    assert min(lengths) >= 100 and max(lengths) <= 350


def test_origins_are_unique_and_every_plot_has_its_group(stories):
    assert len({story.origin for story in stories}) == STORIES
    assert {story.group for story in stories} == {f"plot/{name}" for name in plots()}


def test_the_world_is_as_rich_as_promised():
    kinds = ("girl", "boy", "she", "he", "aunt", "uncle", "mrs", "mr")
    names = {name for kind in kinds for name in words()[kind]}
    assert len(plots()) >= 60
    assert len(names) + len(table("creatures")) >= 100
    assert all(len(table(name)) >= 30 for name in ("activities", "things", "foods", "places"))


def test_a_split_by_plot_leaves_a_handful_for_validation():
    for seed in range(12):
        sides = [place(f"plot/{name}", seed) < 0.1 for name in plots()]
        assert 1 <= sum(sides) <= 15


def test_no_story_is_told_twice(stories):
    assert len({story.text for story in stories}) == STORIES


def test_validation_plots_share_few_long_phrases_with_training(stories):
    held_out = {f"plot/{name}" for name in sorted(plots())[::12]}
    train = [story.text for story in stories if story.group not in held_out]
    validation = [story.text for story in stories if story.group in held_out]
    validation, train = overlap.words_of(validation), overlap.words_of(train)
    assert overlap.known_share(overlap.ngrams(validation, 8), overlap.ngrams(train, 8)) < 0.15
    # The stories do share a language: single words of validation are nearly all known.
    assert overlap.known_share(overlap.ngrams(validation, 1), overlap.ngrams(train, 1)) > 0.95


def test_a_third_of_the_four_word_phrases_differ(stories):
    heard = overlap.words_of(story.text for story in stories)
    assert overlap.distinct_share(overlap.ngrams(heard, 4)) > 0.3
