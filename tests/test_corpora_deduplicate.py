"""Texts occur once, and what validation holds leaves training."""

from hypothesis import given, settings
from hypothesis import strategies as st

from featrack_utils.corpora.documents import Document, cut_once, pieces
from featrack_utils.corpora.installed import mostly_new
from featrack_utils.corpora.split import unique_documents, without_leaks

COPIED = "one two three four five six seven eight nine ten eleven twelve thirteen"


def leakless(*texts, **options):
    return list(without_leaks(*texts, **options))


def doc(text, group="g"):
    return Document(text, origin=group, group=group)


def ngrams(texts, n):
    """Word n-grams by plain slicing, the authority for the hashed ones."""
    found = set()
    for text in texts:
        words = text.lower().split()
        found |= {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}
    return found


def test_spacing_punctuation_and_case_do_not_make_a_text_new():
    texts = [doc("A cat, sat."), doc("a  cat\nsat"), doc("a dog sat")]
    assert [d.text for d in unique_documents(texts)] == ["A cat, sat.", "a dog sat"]


def test_a_paragraph_that_validation_repeats_leaves_and_its_neighbours_stay():
    train = [doc(f"before it\n\n{COPIED.title()}!\n\nafter it")]
    left = leakless(train, [doc(f"so {COPIED} then")])
    assert [d.text for d in left] == ["before it", "after it"]
    assert {d.group for d in left} == {"g"}


def test_twelve_words_in_common_are_no_leak_and_thirteen_are():
    twelve = COPIED.rsplit(" ", 1)[0]
    assert leakless([doc(twelve)], [doc(COPIED)]) == [doc(twelve)]
    assert leakless([doc(COPIED)], [doc(COPIED)]) == []


def test_a_copied_run_across_an_empty_line_takes_both_paragraphs():
    words = COPIED.split()
    broken = " ".join(words[:6]) + "\n\n" + " ".join(words[6:])
    left = leakless([doc(f"first\n\n{broken}\n\nlast")], [doc(COPIED)])
    assert [d.text for d in left] == ["first", "last"]


def test_a_letter_that_becomes_two_in_lower_case_moves_no_paragraph():
    dotted = "İ" * 40
    left = leakless([doc(f"{dotted} {dotted}\n\n{COPIED}\n\nafter it")], [doc(COPIED)])
    assert [d.text for d in left] == [f"{dotted} {dotted}", "after it"]


def test_a_text_of_which_more_than_half_stood_in_earlier_ones_leaves():
    first, second = (" ".join(f"{name}{i}" for i in range(40)) for name in "ab")
    half = f"{' '.join(first.split()[:20])} {second}"
    most = f"{first} {' '.join(second.split()[:20])}"
    kept = list(mostly_new([doc(first), doc(half), doc(most), doc("short")], n=2))
    assert [d.text for d in kept] == [first, half, "short"]


def test_without_validation_text_nothing_leaves():
    assert leakless([doc(COPIED)], []) == [doc(COPIED)]


paragraph = st.lists(st.sampled_from("abc"), min_size=1, max_size=6).map(" ".join)
text = st.lists(paragraph, min_size=1, max_size=5).map("\n\n".join)


@settings(max_examples=200)
@given(st.lists(text, max_size=5), st.lists(text, max_size=3))
def test_no_run_of_words_is_on_both_sides_afterwards(train, validation):
    left = leakless([doc(t) for t in train], [doc(t) for t in validation], window=3)
    assert not ngrams([d.text for d in left], 3) & ngrams(validation, 3)
    kept = sum(len(d.text.split()) for d in left)
    shared = any(ngrams([t], 3) & ngrams(validation, 3) for t in train)
    assert (kept == sum(len(t.split()) for t in train)) == (not shared)


@given(st.text(alphabet="ab \n", max_size=60), st.integers(1, 20))
def test_pieces_put_together_are_the_text_and_none_is_too_long(whole, limit):
    parts = list(pieces([whole], limit))
    assert "".join(parts) == whole
    assert all(0 < len(part) <= limit for part in parts)


def test_a_cut_prefers_an_empty_line_then_a_line_end_then_a_space():
    assert cut_once("aa bb\n\ncc\ndd", 11) == ("aa bb\n\n", "cc\ndd")
    assert cut_once("aaaa bb\ncc dd", 11) == ("aaaa bb\n", "cc dd")
    assert cut_once("aaaa bb cc", 9) == ("aaaa bb ", "cc")
    assert cut_once("aaaaaa", 4) == ("aaaa", "aa")
