"""Written samples: every line break is seen, and none of them makes the page longer than one."""

from bs4 import BeautifulSoup

from featrack_utils.display.shading import show_samples


def shown(prompt: str, text: str) -> str:
    return BeautifulSoup(show_samples({"t": (prompt, text)}).data, "html.parser").pre.text


def test_a_long_run_of_line_breaks_is_a_number():
    assert shown("a\n", "a\n" + 57 * "\n" + "b") == "a⏎\n⏎ × 57\nb"


def test_short_runs_are_shown_one_by_one_and_indents_as_they_are():
    assert shown("x", "x\n\n    y\tz") == "x⏎\n⏎\n    y⇥z"


def test_what_a_model_writes_is_data():
    html = show_samples({"<u>": ("<b>", "<b><script>\u202e")}).data
    soup = BeautifulSoup(html, "html.parser")
    assert soup.find(["u", "b", "script"]) is None
    assert soup.pre.text == "<b><script>⟨U+202E⟩" and soup.strong.text == "<b>"
