"""Models in a built page against torch, the tokenizer and SAELens, on 200 passages of a run.

Fifty pieces of each domain's validation text; the suite asks the page of its smoke book. With
`FEATRACK_FINISHED=runs/quick` a finished run and its page are compared instead.
"""

import base64
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from featrack_utils.corpora.prepare import open_corpora
from featrack_utils.dictionaries.training import load_sae
from featrack_utils.lineage import Lineage
from featrack_utils.models import capture, loading
from featrack_utils.pipeline.store import open_lineage
from tests.browser import BROWSER, DRIVER, open_browser
from tests.chapters import Chapter

FINISHED = os.environ.get("FEATRACK_FINISHED")
PASSAGES, LONGEST, SHORTEST = 50, 1000, 20  # of a domain; characters
EVERY = 8  # at every eighth position the page is asked
encode = Chapter("live").encode

# What the page's models say of a text at some positions, as float32 numbers in base 64.
_SAID = """
const [key, ids, positions, done] = arguments, rows = { logits: [], acts: [] };
const text = (values) => new Promise((give) => {
  const reader = new FileReader();
  reader.onload = () => give(reader.result.split(",")[1]);
  reader.readAsDataURL(new Blob(values.map((row) => Float32Array.from(row))));
});
(async () => {
  for (const at of positions) {
    rows.logits.push(await featrackTouch.ask([key], "logits", key, ids, at, null));
    rows.acts.push(await featrackTouch.ask([key], "acts", key, ids, at));
  }
  return { logits: await text(rows.logits), acts: await text(rows.acts) };
})().then((said) => done(said), (error) => done({ trouble: error.message }));
"""
_ENCODED = "featrackTouch.ask([], 'encode', arguments[0]).then(arguments[1]);"


@pytest.fixture(scope="module")
def run(books) -> Path:
    return Path(FINISHED).resolve() if FINISHED else books["smoke"] / "runs" / "smoke"


@pytest.fixture(scope="module")
def lineage(run) -> Lineage:
    return open_lineage(run)


@pytest.fixture(scope="module")
def passages(run, lineage) -> dict[str, list[str]]:
    """Pieces of each domain's validation text, evenly from all of it."""
    corpora, found = open_corpora(run / "corpora", 64), {}
    for domain in lineage.domains:
        texts = corpora.texts(domain, "validation")
        length = min(LONGEST, sum(map(len, texts)) // (2 * PASSAGES))
        pieces = [text[at : at + length] for text in texts for at in range(0, len(text), length)]
        pieces = [piece for piece in pieces if len(piece) >= SHORTEST]
        places = np.linspace(0, len(pieces) - 1, PASSAGES).round().astype(int)
        found[domain] = [pieces[place] for place in sorted({*places.tolist()})]
    return found


@pytest.fixture(scope="module")
def page(run):
    if not (BROWSER and DRIVER):
        pytest.skip("no Chromium with its driver here")
    built = run.parents[1] / "book" / "_build" / "html" / "executed" / "live.html"
    with open_browser() as driver:
        driver.set_script_timeout(120)
        driver.get(built.as_uri())
        yield driver


def said(page, key, ids, positions):
    """Logits and features of a text at some positions, each [positions, n]."""
    answer = page.execute_async_script(_SAID, key, ids, positions)
    assert "trouble" not in answer, answer["trouble"]
    values = {name: np.frombuffer(base64.b64decode(text), "<f4") for name, text in answer.items()}
    return {name: each.reshape(len(positions), -1) for name, each in values.items()}


def test_there_are_two_hundred_passages_and_the_page_cuts_each_into_the_tokenizer_s_tokens(
    page, run, lineage, passages
):
    assert {len(texts) for texts in passages.values()} == {PASSAGES} and len(passages) == 4
    tokenizer = open_corpora(run / "corpora", 64).tokenizer
    for text in (text for texts in passages.values() for text in texts):
        expected = encode(tokenizer, text, 10**6)[1:]
        assert page.execute_async_script(_ENCODED, text) == expected


@pytest.mark.parametrize("place", range(4))
def test_logits_and_features_on_passages_are_those_of_torch_and_saelens(
    page, run, lineage, passages, place
):
    key = lineage.order[place]
    model, sae = loading.load_model(run / "models" / key), load_sae(run / "saes" / f"{key}-0")
    context = model.config.max_position_embeddings
    tokenizer = open_corpora(run / "corpora", 64).tokenizer
    worst, features = {"logits": 0.0, "acts": 0.0}, []
    for text in (text for texts in passages.values() for text in texts):
        ids = encode(tokenizer, text, 10**6)[:context]
        positions = [*range(1, len(ids) - 1, EVERY), len(ids) - 1]
        with torch.no_grad():
            acts = capture.plain_activations(model, torch.tensor([ids]), lineage.site)[0]
            right = {"logits": model(torch.tensor([ids])).logits[0], "acts": sae.encode(acts)}
        found = said(page, key, ids, positions)
        for name, values in right.items():
            values = values.numpy()
            off = np.abs(found[name] - values[positions]).max() / np.abs(values[1:]).max()
            worst[name] = max(worst[name], off)
        # Each feature above a thousandth against its own value. In float32 that is itself up to
        # 0.0003 from the one in float64: a small feature is what large terms of a sum leave.
        acts = right["acts"].numpy()[positions]
        on = acts > 1e-3
        features.append(np.abs(found["acts"][on] - acts[on]) / acts[on])
    features = np.concatenate(features)
    share = (features <= 1e-3).mean()
    print(f"{key}: off by at most {worst}, relative to a passage's largest")
    print(f"{share:.3%} of {len(features)} features are near; the worst is off by {features.max()}")
    assert max(worst.values()) < 1e-3 and share == 1
