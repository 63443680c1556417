"""Models that a page runs itself, in a real browser, against torch, the tokenizer and SAELens."""

import copy
import json
import shutil
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
import torch
from sae_lens import StandardSAE, StandardSAEConfig
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from featrack_utils.dictionaries.training import load_sae
from featrack_utils.display import explorer, page_models, style
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import SITE, Lineage
from featrack_utils.models import capture, loading, merging
from featrack_utils.pipeline import store
from tests import explorer_data, touch_data
from tests.browser import BROWSER, DESKTOP, DRIVER, PHONE, open_browser, set_window, wait
from tests.chapters import Chapter

T = 0.4
encode = Chapter("live").encode
D, FEATURES = 24, 60
LINEAGE = Lineage(
    {
        "base": {"train": ["english", "python"]},
        "lua": {"parent": "base", "train": ["lua"]},
        "stories": {"parent": "base", "train": ["stories"]},
        "merged": {"merge": ["lua", "stories"], "t": T},
    }
)
WAY = {"ends": ["lua", "stories"], "t": T, "marks": [{"name": "balanced", "t": T}]}
TEXTS = [
    "def f(x):\n    return x",
    "the cat and the other cat",
    "The  dog's   don't\r\n\t\n  x",
    "<|endoftext|><img src=x onerror=document.title=1>",
    "🙂👩‍👧 ½ ١٢ 五\u0301 ſ's",
    "\u202egnp.exe\u2066 \x00\x1b[31m\x85\ufeff\u200b\u2028\u3000 ",
    "half \ud800 and \udc00\ud800",
    "a" * 5000 + " b" * 2500,
]
PASSAGES = [*TEXTS[:2], "return the\n", "x = [(1, 2)]"]
SCALES = (0, 2.5)


@pytest.fixture(scope="module")
def run(model_folder, tokenizer, tmp_path_factory):
    """A trained model, two that differ from it, their slerp, and dictionaries at random."""
    run, draw = tmp_path_factory.mktemp("run"), torch.Generator().manual_seed(0)
    made = {name: loading.load_model(model_folder) for name in LINEAGE.order}
    with torch.no_grad():
        for weight in (p for name in ("lua", "stories") for p in made[name].parameters()):
            weight.add_(0.3 * weight.std() * torch.randn(weight.shape, generator=draw))
    made["merged"].load_state_dict(
        merging.slerp(made["lua"].state_dict(), made["stories"].state_dict(), T)
    )
    for name, model in made.items():
        sae = StandardSAE(StandardSAEConfig(d_in=D, d_sae=FEATURES, apply_b_dec_to_input=True))
        shapes = {key: value.shape for key, value in sae.state_dict().items()}
        sae.load_state_dict({k: torch.randn(s, generator=draw) / 4 for k, s in shapes.items()})

        def save(work, model=model):
            model.save_pretrained(work)
            tokenizer.save_pretrained(work)

        store.make(run / "models" / name, save, parameters={})
        store.make(
            run / "saes" / f"{name}-0", lambda work, s=sae: s.save_model(work), parameters={}
        )
    return run


@pytest.fixture(scope="module")
def site(run, tmp_path_factory):
    style.use_style(LINEAGE)
    assert page_models.unfit(run, LINEAGE) == ""
    return touch_data.make_site(tmp_path_factory.mktemp("touch"), run, LINEAGE, WAY)


@pytest.fixture(scope="module")
def browser(site):
    if not (BROWSER and DRIVER):
        pytest.skip("no Chromium with its driver here")
    with open_browser() as driver:
        set_window(driver, DESKTOP, 900)
        driver.set_script_timeout(60)
        driver.get((site / "strict.html").as_uri())
        yield driver


@pytest.fixture(scope="module")
def references(run, tokenizer):
    """By model: the model, its dictionary, and (ids, logits, activations) of each passage."""
    found = {}
    for name in LINEAGE.order:
        model, sae = loading.load_model(run / "models" / name), load_sae(run / "saes" / f"{name}-0")
        rows = []
        for text in PASSAGES:
            ids = encode(tokenizer, text, 10**6)[:16]
            tokens = torch.tensor([ids])
            with torch.no_grad():
                acts = capture.plain_activations(model, tokens, LINEAGE.site)[0]
                rows.append((ids, model(tokens).logits[0].numpy(), sae.encode(acts).numpy()))
        found[name] = (model, sae, rows)
    return found


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("models/lua/config.json", {"num_hidden_layers": 2}, "lua has another num_hidden_layers"),
        ("models/lua/config.json", {"sliding_window": 4}, "lua has another sliding_window"),
        ("models/lua/config.json", {"num_attention_heads": 1}, "lua's isn't base's"),
        ("models/lua/config.json", {"rms_norm_eps": 1e-5}, "lua's isn't base's"),
        ("saes/stories-0/cfg.json", {"d_sae": 1024}, "stories's isn't base's"),
        ("models/base/config.json", {"vocab_size": 10**6}, "base with its dictionary has more"),
        ("saes/stories-0/cfg.json", {"architecture": "topk"}, "stories's, which is of kind topk"),
        ("models/base/tokenizer.json", {"normalizer": {"type": "NFC"}}, "plain byte-level BPE"),
    ],
)
def test_what_the_page_can_t_compute_is_said_in_half_a_sentence(
    run, tmp_path, monkeypatch, file, change, said
):
    monkeypatch.setattr(store, "opened", Path)  # the files are no longer what was written
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / file
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change), "utf-8")
    assert said in page_models.unfit(tmp_path / "run", LINEAGE)


def ask(browser, models, call, *given):
    """An answer of the page's models."""
    answer = browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "featrackTouch.ask(...arguments[0]).then((a) => done({a}), (e) => done({e: e.message}));",
        [models, call, *given],
    )
    assert "e" not in answer, answer["e"]
    return answer["a"]


def near(found, right):
    """Within a thousandth of the largest."""
    return np.abs(np.array(found) - right).max() <= 1e-3 * np.abs(right).max()


def each_near(acts, right):
    """Features above a thousandth, each within a thousandth of itself; others as near as that."""
    return bool((np.abs(np.array(acts) - right) <= 1e-3 * np.maximum(right, 1e-3)).all())


def answered(browser):
    wait(browser, lambda b: not b.execute_script(f"return {touch_data.BUSY}"))
    return browser


def scrolled(browser, place):
    """A control, by its place on the page, scrolled to and answered."""
    control = browser.find_elements(By.CSS_SELECTOR, ".featrack-touch")[place]
    browser.execute_script("arguments[0].scrollIntoView()", control)
    answered(browser)
    return control


def opened(browser, site, hash_=""):
    browser.get("about:blank")
    browser.get((site / "strict.html").as_uri() + hash_)
    wait(browser, lambda b: b.find_elements(By.TAG_NAME, "textarea"))
    return answered(browser)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_the_page_cuts_any_text_into_the_tokenizer_s_tokens(browser, tokenizer, text):
    # JSON escapes carry half a surrogate pair, which a driver's UTF-8 can't.
    found = browser.execute_async_script(
        "featrackTouch.ask([], 'encode', JSON.parse(arguments[0])).then(arguments[1]);",
        json.dumps(text),
    )
    assert found == encode(tokenizer, text, 10**6)[1:]


@pytest.mark.parametrize("name", LINEAGE.order)
def test_logits_and_features_are_torch_s_and_saelens_s_to_a_thousandth(browser, references, name):
    for ids, logits, acts in references[name][2]:
        for at in (1, len(ids) - 1):
            assert near(ask(browser, [name], "logits", name, ids, at, None), logits[at])
            assert each_near(ask(browser, [name], "acts", name, ids, at), acts[at])


@pytest.mark.parametrize(
    ("vocabulary", "d_sae", "least", "nearness"),
    [(2048, 1024, 3.6e6, each_near), (4096, 2048, 3.9e6, near)],  # quick's; at most 16 bits
)
def test_at_quick_s_shapes_and_twice_as_many_numbers_a_model_is_near_and_under_four_megabytes(
    browser, site, tokenizer, tmp_path, vocabulary, d_sae, least, nearness
):
    lineage = Lineage({"only": {"train": ["text"]}})
    model, sae = touch_data.add_model(tmp_path, "only", tokenizer, 0, vocabulary, d_sae)
    assert page_models.unfit(tmp_path, lineage) == ""
    shutil.copytree(site.parent, tmp_path / "site")
    data = tmp_path / "site" / "_static" / "touch" / "data"
    page_models.write_models(data, tmp_path, lineage, WAY | {"ends": ["only", "only"]})
    assert least < (data / "only.js").stat().st_size < 4e6
    browser.get((tmp_path / "site" / "executed" / "strict.html").as_uri())
    ids = torch.randint(vocabulary, (1, 40))
    with torch.no_grad():
        logits = model(ids).logits[0].numpy()
        acts = sae.encode(capture.plain_activations(model, ids, SITE)[0]).numpy()
    for at in range(1, 40, 6):
        row = ids[0].tolist()
        assert near(ask(browser, ["only"], "logits", "only", row, at, None), logits[at])
        assert nearness(ask(browser, ["only"], "acts", "only", row, at), acts[at])
    opened(browser, site)


@pytest.mark.parametrize("scale", SCALES)
def test_a_feature_is_scaled_while_what_its_dictionary_misses_stays(browser, references, scale):
    model, sae, rows = references["lua"]
    ids, clean, acts = rows[0]
    at, feature = len(ids) - 1, int(acts[-1].argmax())

    def steer(module, given):
        f = sae.encode(given[0])
        changed = f.clone()
        changed[:, 1:, feature] *= scale
        return given[0] + sae.decode(changed) - sae.decode(f)

    hook = model.model.layers[0].mlp.down_proj.register_forward_pre_hook(steer)
    with torch.no_grad():
        right = model(torch.tensor([ids])).logits[0, at].numpy()
    hook.remove()
    assert not near(clean[at], right)
    edit = {"feature": feature, "scale": scale}
    assert near(ask(browser, ["lua"], "logits", "lua", ids, at, edit), right)


@pytest.mark.parametrize(("method", "t"), [("slerp", 0.3), ("linear", 0.3), ("slerp", 1)])
def test_the_model_between_two_is_the_package_s(browser, references, method, t):
    states = [references[name][0].state_dict() for name in ("lua", "stories")]
    between = copy.deepcopy(references["lua"][0])
    between.load_state_dict(merging.merge(states, [1 - t, t], method))
    ids = references["lua"][2][0][0]
    with torch.no_grad():
        out = between(input_ids=torch.tensor([ids]), labels=torch.tensor([ids]))
        acts = capture.plain_activations(between, torch.tensor([ids]), LINEAGE.site)[0, 1:]
        right = references["stories"][1].encode(acts).numpy()
    followed = int(right.max(axis=0).argmax())
    ends = ["lua", "stories"]
    ask(browser, ends, "way", *ends, method, 0.9, ids, "stories", followed, 5)
    # What was read before: the beginning, another one, more.
    for before in ([*ids[:4]], [ids[0], *ids[2:]], [*ids, 7, 8], ids):
        found = ask(browser, ends, "way", *ends, method, t, before, "stories", followed, 5)
    assert found["loss"] == pytest.approx(float(out.loss), rel=1e-3)
    chances = out.logits[0, -1].softmax(-1).numpy()
    assert [token for token, _ in found["next"]] == np.argsort(-chances)[:5].tolist()
    assert near(found["acts"][1:], right[:, followed])


def test_slerp_in_the_page_is_the_package_s_to_its_own_rounding(browser):
    one, two = np.random.default_rng(0).normal(size=(2, 50)).round(3)
    found = browser.execute_script(
        "const [a, b, t] = arguments, core = featrackTouch.core();"
        "return core.mixed(a, b, core.mixture(a, b, 'slerp')(t), []);",
        *(one.tolist(), two.tolist(), 0.37),
    )
    states = ({"w": torch.from_numpy(each)} for each in (one, two))
    assert np.allclose(found, merging.slerp(*states, 0.37)["w"], rtol=1e-12)


def test_a_worker_says_the_same_where_one_may_be_started(browser, site, references):
    browser.get((site / "plain.html").as_uri())
    ids, logits, _ = references["base"][2][0]
    assert near(ask(browser, ["base"], "logits", "base", ids, 3, None), logits[3])
    opened(browser, site)


def test_typed_text_is_data_and_the_address_says_what_is_shown(browser, site):
    opened(browser, site, "#t=0.25&scale=2&feature=stories-5&models=lua,merged&text=the+cat")
    field = browser.find_element(By.TAG_NAME, "textarea")
    assert field.get_attribute("value") == "the cat" and field.accessible_name == "Your text"
    assert [e.text for e in browser.find_elements(By.TAG_NAME, "h4")] == ["Lua", "Merged"]
    outputs = [e.text for e in browser.find_elements(By.TAG_NAME, "output")]
    assert outputs == ["t = 0.25", "times 2"]
    field.clear()
    field.send_keys("<img src=x>")
    answered(browser)
    strip = browser.find_element(By.CSS_SELECTOR, "[role=toolbar]")
    assert strip.text.replace("\n", "").replace("·", " ") == "<img src=x>"
    assert not browser.find_elements(By.TAG_NAME, "img")
    wait(browser, lambda b: "text=%3Cimg+src%3Dx%3E" in b.current_url)
    link = browser.find_element(By.CSS_SELECTOR, ".ft-columns a").get_attribute("href")
    assert "explorer.html?text=%3Cimg+src%3Dx%3E#lua-" in link


def test_keys_move_the_sliders_and_choose_tokens(browser, site):
    opened(browser, site, "#text=the+cat&t=0.5")
    sliders = browser.find_elements(By.CSS_SELECTOR, "input[type=range]")
    sliders[0].send_keys(Keys.ARROW_RIGHT)
    answered(browser)
    assert sliders[0].get_attribute("aria-valuetext") == "t = 0.51"
    scrolled(browser, 0)
    chosen = browser.find_element(By.CSS_SELECTOR, "[role=toolbar] [aria-pressed=true]")
    chosen.send_keys(Keys.ARROW_LEFT)
    answered(browser)
    places = "return [...arguments[0].children].findIndex((e) => e.ariaPressed === 'true')"
    strip = browser.find_element(By.CSS_SELECTOR, "[role=toolbar]")
    n = len(strip.find_elements(By.TAG_NAME, "button"))
    assert browser.execute_script(places, strip) == n - 2
    assert browser.switch_to.active_element.get_attribute("aria-pressed") == "true"


def test_a_control_out_of_sight_waits_until_it_is_scrolled_to(browser, site):
    opened(browser, site, "#text=the+cat")
    waiting = browser.find_elements(By.CSS_SELECTOR, "[aria-busy]")
    assert len(waiting) == 2 and not any(place.text for place in waiting)
    assert "nats per token" in scrolled(browser, 1).text
    assert len(browser.find_elements(By.CSS_SELECTOR, "[aria-busy]")) == 1


def test_what_can_t_be_read_is_one_sentence_as_in_the_package(browser, site, tokenizer):
    opened(browser, site, "#text=" + "qx" * 9)
    said = browser.find_element(By.CSS_SELECTOR, "[role=alert]").text
    with pytest.raises(FeatrackError) as refused:
        encode(tokenizer, "qx" * 9, 16)
    assert said == str(refused.value)


def test_the_explorer_shades_the_typed_text_and_leads_back(browser, site, run, references):
    explorer_data.make(site.parent / "_static" / "explorer" / "data", 512)
    (site / "explorer.html").write_text(
        f'<!doctype html><meta charset="utf-8">{explorer.page(runs_models=True).data}', "utf-8"
    )
    feature = int(references["lua"][2][0][2][1:].max(axis=0).argmax())
    query = urlencode({"text": PASSAGES[0]})
    browser.get(f"{(site / 'explorer.html').as_uri()}?{query}#lua-{feature}")
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, ".fx-typed span"))
    tokens = browser.find_elements(By.CSS_SELECTOR, ".fx-typed > span")
    ids, _, acts = references["lua"][2][0]
    lit = ["fx-lit" in (token.get_attribute("class") or "") for token in tokens]
    assert lit[: len(ids) - 1] == (acts[1:, feature] > 0).tolist() and any(lit)
    back = browser.find_element(By.CSS_SELECTOR, ".fx-try").get_attribute("href")
    assert back.endswith(f"live.html#{query}&feature=lua-{feature}")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_it_whole_and_nothing_breaks_the_strict_policy(browser, site, theme):
    set_window(browser, PHONE, 800)
    browser.get_log("browser")
    opened(browser, site, "#text=the+cat")
    browser.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
    for place in range(3):
        scrolled(browser, place)
    wide = "return document.scrollingElement.scrollWidth - window.innerWidth"
    assert browser.execute_script(wide) <= 0
    set_window(browser, DESKTOP, 900)
    assert [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
