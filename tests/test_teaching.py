"""The lesson plans: their minutes add up, and what they name is in the book."""

import re
from pathlib import Path

import pytest

from featrack_utils.run import find

BOOK = Path(__file__).resolve().parents[1] / "book"
PLANS = (BOOK / "teaching.md").read_text().split("\n## ")[1:3]
ROW = re.compile(r"^\| (\d+)–(\d+) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)
HEADINGS = re.compile(r"^#+ (.+?)\s*$", re.MULTILINE)


def text_of(link: str) -> str:
    """The source of a page of the book, a chapter's without the marks of comments."""
    page = link.removeprefix("executed/")
    if page == link:
        return (BOOK / "misreadings.md").read_text()
    return re.sub(r"^# ?", "", find(page).read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize(("plan", "minutes"), [*zip(PLANS, (60, 180), strict=True)])
def test_the_minutes_of_a_plan_follow_on_each_other_and_fill_its_time(plan, minutes):
    rows = [(int(start), int(end)) for start, end, *_ in ROW.findall(plan)]
    ends = [end for _, end in rows]
    assert [start for start, _ in rows] == [0, *ends[:-1]] and ends[-1] == minutes
    assert all(start < end for start, end in rows)


@pytest.mark.parametrize("plan", PLANS, ids=["one hour", "three hours"])
def test_what_a_plan_names_is_in_the_chapter_that_it_names(plan):
    linked = 0
    for _, _, what, where in ROW.findall(plan):
        if not (link := re.search(r"\]\((.+)\)", where)):
            continue
        linked += 1
        text = text_of(link[1])
        headings = HEADINGS.findall(text)
        for section in re.findall(r"\*(.+?)\*", what):
            assert section in headings, f"{section!r} is no section of {link[1]}"
        for first, second in re.findall(r"Exercises? (\d)(?: and (\d))?", what):
            for exercise in filter(None, (first, second)):
                assert f"}} Exercise {exercise}\n" in text, f"{link[1]} has no exercise {exercise}"
        if link[1] == "common-misreadings":
            named = re.search(r"isreadings ((?:\d+(?:, | and )?)+)", what)[1]
            for one in re.findall(r"\d+", named):
                assert f"\n* - {one}\n" in text, f"there is no misreading {one}"
    assert linked > 5
