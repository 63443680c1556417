"""The page of the benchmarks, and how growth is fitted."""

import json

import pytest

from benchmarks import write_page


def test_the_page_of_the_benchmarks_is_what_their_results_make_of_it():
    found = json.loads(write_page.RESULTS.read_text())
    assert write_page.PAGE.read_text("utf-8") == write_page.page(found)


@pytest.mark.parametrize("name", [*write_page.RATIOS, *write_page.WAITS])
def test_each_figure_of_the_page_was_measured(name):
    assert json.loads(write_page.RESULTS.read_text())[name] > 0


def test_an_exponent_is_the_power_with_which_something_grows():
    from benchmarks import growth  # loads much

    sizes = [10, 20, 40]
    for power in (0.5, 1, 2):
        assert growth.exponent(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


def test_core_seconds_and_memory_are_those_of_the_work_itself():
    from benchmarks import growth  # loads much

    def work():
        kept = bytearray(b"x" * 200_000_000)
        assert sum(range(3_000_000)) and kept

    seconds, megabytes = growth.measured(work)
    assert 0 < seconds < 30 and 150 < megabytes < 600
    assert growth.measured(lambda: None)[1] < 50
