# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A lesson without installing anything
#
# **You will learn** to put four questions to a {term}`feature`: where it is active, what it does, where
# it comes from, and which other model has it.
# **You need** a browser. Every link opens [Touch it](live) with everything set.
# **It takes** twenty minutes.
#
# Say what you expect before you open a link. Then change the text: a claim about a feature is worth
# as much as the texts that could have refuted it.

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
from html import escape
from urllib.parse import urlencode

from featrack_utils.display.text import number, percent, say
from featrack_utils.lineage import label
from featrack_utils.pipeline import store

# %% tags=["parameters", "remove-cell"]
run_dir = "runs/quick"

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
found = store.read_results(run, "live")
touch = store.read_record(run / "touch")["parameters"]
way, left_out = touch["way"], touch["left_out"]
model, feature = way["feature"].rsplit("-", 1)
name = f"{label(model)} {feature}"
first, second = way["ends"]


def link(words, **state):
    """A link that opens the controls in a state."""
    if left_out:
        return words
    state = {"text": way["text"], "feature": way["feature"], "t": way["t"], "scale": 1} | state
    return f'<a href="live.html#{escape(urlencode(state))}">{words}</a>'


# %% tags=["remove-input"] jupyter={"source_hidden": true}
if left_out:
    say(f"In this book the links lead nowhere, as {left_out}.")
every = ",".join(lineage.order)
apart = "local x = 1\nOnce upon a time there was a girl\nx = x + 1"
questions = [
    f"1. **One text, {len(lineage.order)} models.** {link('Open a short program', models=every)}. Which model "
    "is surest of the next token, and which one would you expect to be? Choose earlier tokens, too.",
    f"2. **Where is it active?** {link(f'Follow {name} on another text', text=apart, models=model)}. "
    "Which tokens are shaded? Write a rule, and then a text that should break it. Its name leads to "
    "its page in the [explorer](explorer), and *Try it on your text* there leads back.",
    f"3. **What does it do?** {link('Take it out', scale=0, panel='ablate')} in the last control, then "
    f"{link('make it three times as strong', scale=3, panel='ablate')}. Which tokens gain by either?",
    f"4. **Where does it come from?** Go from {link(f'all {label(first)}', t=0, panel='slide')} by "
    f"{link('t = ' + number(way['t']), t=way['t'], panel='slide')} to {link(f'all {label(second)}', t=1, panel='slide')} in the second "
    "control. Where is the loss on the program least, and where is the feature strongest?",
    "5. **Who else has it?** Its page in the explorer names its closest feature in each other "
    "model. Follow that one instead: is it shaded on the same tokens?",
]
if first == second:  # no two models are of one architecture
    questions.pop(3)
say(*questions)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"- **A feature does something**: without {name}, {percent(found['live.ablated.moved'], 1)} of the "
    "next token's probability on the program goes to other tokens.\n"
    "- **A rule for a feature is a guess** until a text that could break it has been tried.\n"
    "- **Its dictionary reads every model between two**, but was trained on one of them. Where the "
    "feature fades, either may be the reason.",
    "*What comes next*: how such observations become a share of all features is in [tracking](tracking).",
)

# %% [markdown]
# :::{admonition} Exercise
# :class: tip
# Find a text of your own on which two models disagree about the next token, and a feature whose
# ablation makes them agree more. Keep the address of that state: it is all that somebody else needs
# to check it.
# :::
