"""Models of eight families are read where they should be, and what can't be read is refused."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from featrack_utils.corpora.tokenizer import train_tokenizer
from featrack_utils.dictionaries import loading as dictionaries
from featrack_utils.dictionaries.activations import Buffers
from featrack_utils.dictionaries.training import load_sae, new_sae
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.logit_effects import logit_effects, read_writing
from featrack_utils.lineage import WRITERS, Lineage
from featrack_utils.models import capture, controls, loading
from featrack_utils.pipeline.profile import load_profile
from tests.chapters import Chapter
from tests.conftest import TEXTS
from tests.families import CONTEXT, FAMILIES, save
from tests.hub_server import Hub
from tests.test_profile import PROFILES

self_check = Chapter("load").self_check
TOKENS = torch.arange(48).reshape(2, 24) * 7 % 300


@pytest.fixture(scope="session")
def outside(tmp_path_factory, tokenizer):
    """A folder with a model of each family, by its name."""
    place = tmp_path_factory.mktemp("outside")
    for family in FAMILIES:
        save(place / family, family, tokenizer)
    return place


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_is_read_at_every_site_as_plain_hooks_read_it(family, outside):
    widths = {}
    for hook in WRITERS:
        off = self_check(outside / family, f"blocks.1.{hook}", TOKENS)
        assert {*off} == {"logits", "activations"} and max(off.values()) < 1e-5
        plain = loading.load_model(outside / family)
        widths[hook] = capture.plain_activations(plain, TOKENS, f"blocks.1.{hook}").shape
    neurons = loading.find("a", {"load": str(outside / family)}).d_mlp
    assert widths.pop("mlp.hook_post") == (2, 24, neurons)
    assert {*widths.values()} == {(2, 24, 32)}  # heads side by side


@pytest.mark.parametrize("family", FAMILIES)
def test_a_control_redraws_what_writes_the_site_and_keeps_all_before_and_the_norms(family, outside):
    weights = load_file(outside / family / "model.safetensors")
    plain = loading.load_model(outside / family)
    before = {
        hook: capture.plain_activations(plain, TOKENS, f"blocks.1.{hook}") for hook in WRITERS
    }
    at_start = capture.plain_activations(plain, TOKENS, "blocks.0.hook_resid_post")
    for hook, writer in WRITERS.items():
        drawn = controls.redrawn(weights, controls.Redraw(writer, 1), seed=0)
        changed = {name for name in weights if not torch.equal(drawn[name], weights[name])}
        assert changed and all(".1." in name and "norm" not in name for name in changed)
        for name in changed:
            torch.testing.assert_close(drawn[name].norm(), weights[name].norm())
        control = loading.load_model(outside / family)
        control.load_state_dict(drawn, strict=False)  # tied weights are saved once
        reads = {h: capture.plain_activations(control, TOKENS, f"blocks.1.{h}") for h in WRITERS}
        assert torch.equal(
            capture.plain_activations(control, TOKENS, "blocks.0.hook_resid_post"), at_start
        )
        assert (reads[hook] - before[hook]).norm() > 0.5 * before[hook].norm()
        if writer == "mlp":  # attention comes first, or reads the same as the MLP does
            assert torch.equal(reads["hook_attn_out"], before["hook_attn_out"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_feature_of_the_last_block_moves_the_logits_as_its_effects_say(family, outside, tmp_path):
    """As in test_logits: a multiple of the effect and one of the logits as they were."""
    bridge = loading.boot(outside / family)
    for hook in ("hook_mlp_out" if family == "Gemma2" else "mlp.hook_post", "hook_resid_post"):
        site = f"blocks.2.{hook}"  # Gemma 2 norms what its MLP writes: no fixed matrix
        d_in = capture.mlp_activations(bridge, TOKENS, site).shape[-1]
        row = torch.nn.functional.normalize(torch.ones(1, d_in).cumsum(1).sin())
        save_file({"W_dec": row}, tmp_path / "sae_weights.safetensors")
        effect = logit_effects(read_writing(outside / family, tmp_path, site), np.arange(1))[0]
        before = capture.logits_with(bridge, TOKENS)[0, 7].double().numpy()
        pushed = capture.logits_with(bridge, TOKENS, lambda x, row=row: x + 0.01 * row[0], site)
        change = pushed[0, 7].double().numpy() - before
        change -= change.mean()
        known = np.stack([effect, before - before.mean()], axis=1)
        (part, _), residual, *_ = np.linalg.lstsq(known, change)
        assert part > 0 and residual[0] < 1e-3 * (change**2).sum()


def refused(entry, name="base") -> str:
    with pytest.raises(FeatrackError) as caught:
        loading.find(name, entry)
    sentence = str(caught.value)
    assert sentence.startswith("models.base.load") and "\n" not in sentence
    assert sentence.endswith(".") and sentence.count(". ") == 0
    return sentence


@pytest.fixture
def copied(tmp_path, tokenizer):
    """A folder with a Llama of its own, to be spoilt."""
    return save(tmp_path / "mine", "Llama", tokenizer)


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def pickled(folder):
    torch.save({}, folder / "pytorch_model.bin")
    without_weights(folder)


def one_part(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")


def a_part_too_few(folder):
    one_part(folder)
    both = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": both}))


def an_adapter(folder):
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")


def an_encoder(folder):
    config = transformers.BertConfig(
        vocab_size=384, hidden_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    transformers.BertModel(config).save_pretrained(folder)


def code_of_its_own(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('this was run')")


def no_end_of_text(folder):
    saved = json.loads((folder / "tokenizer_config.json").read_text())
    kept = {key: value for key, value in saved.items() if not key.endswith("os_token")}
    (folder / "tokenizer_config.json").write_text(json.dumps(kept))


def no_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()


BAD = {
    without_weights: "holds no model.safetensors; name a folder that save_pretrained has written",
    pickled: "holds pickled weights only, which are never opened; save them as safetensors",
    one_part: "holds a model in parts, and not model.safetensors.index.json",
    a_part_too_few: "lacks model-00002-of-00002.safetensors",
    an_adapter: "holds an adapter alone; merge it into its model",
    an_encoder: "is a BertModel, which doesn't predict the next token",
    code_of_its_own: "needs code of its own, which is never run",
    no_end_of_text: "has no end-of-text token",
    no_tokenizer: "holds no tokenizer",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_folder_that_holds_no_such_model_is_refused_in_one_sentence(spoil, copied):
    spoil(copied)
    assert BAD[spoil] in refused({"load": str(copied)})


def test_a_folder_that_is_not_there_is_named(tmp_path):
    assert f"{tmp_path}/none, and no such folder is there" in refused({"load": f"{tmp_path}/none"})


# Loads the libraries once, and asks in a fork for each line: what a run of its own would find.
ASK = """
import json, os, sys
from pathlib import Path
from featrack_utils.errors import FeatrackError
from featrack_utils.models import loading

def answer(entry):
    try:
        found = loading.find("base", entry, weights=True)
        loading.bring_in("base", entry, Path(sys.argv[1]))
        return found.revision
    except FeatrackError as error:
        return str(error)

for line in sys.stdin:
    if os.fork() == 0:
        print(json.dumps([answer(entry) for entry in json.loads(line)]), flush=True)
        os._exit(0)
    os.wait()
"""


def test_models_of_the_hub_are_fetched_or_refused_in_one_sentence(outside, tmp_path, copied):
    pickled(copied)
    with Hub() as hub:
        commit = hub.commit_folder("models/me/chat", outside / "Llama")
        hub.commit_folder("models/me/pickled", copied)
        hub.commit_folder("models/me/gated", outside / "OPT")
        hub.gated.add("models/me/gated")
        asked = [{"load": f"me/{name}"} for name in ("chat", "gated", "pickled", "none")]
        asked.append({"load": "me/chat", "revision": "v2"})
        out = tmp_path / "brought"
        child = subprocess.Popen(
            [sys.executable, "-c", ASK, str(out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=hub.environment(tmp_path / "home"),
            text=True,
        )

        def answers(*entries):
            child.stdin.write(json.dumps(entries) + "\n")
            child.stdin.flush()
            return json.loads(child.stdout.readline())

        chat, gated, bin_only, none, revision = answers(*asked)
    unreached, kept = answers({"load": "me/other"}, asked[0])
    child.communicate()
    assert chat == commit and (out / "model.safetensors").is_file()
    assert "me/gated is gated; accept its terms" in gated
    assert "holds pickled weights only" in bin_only
    assert "me/none is no folder here and no model on the hub" in none
    assert "me/chat has no such revision on the hub" in revision
    assert "me/other can't be reached on the hub" in unreached
    assert kept == commit  # what was fetched before is enough


def test_weights_that_are_not_finite_are_found_before_anything_runs(copied):
    weights = load_file(copied / "model.safetensors")
    weights["model.norm.weight"][3] = torch.nan
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    found = loading.find("base", {"load": str(copied)})
    with pytest.raises(FeatrackError, match=r"model.norm.weight holds numbers that aren't finite"):
        loading.require_finite(found)
    (copied / "model.safetensors").write_bytes(b"short")
    with pytest.raises(FeatrackError, match="is damaged"):
        loading.require_finite(found)


def test_weights_that_are_missing_are_not_drawn_at_random(copied, tmp_path):
    weights = load_file(copied / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FeatrackError, match=r"lacks the weights model.layers.1.mlp.up_proj.weight"):
        loading.bring_in("base", {"load": str(copied)}, tmp_path / "in")


def lineage(**folders) -> Lineage:
    models = {name: {"load": str(folder), "parent": "base"} for name, folder in folders.items()}
    del models["base"]["parent"]
    return Lineage(models, "blocks.1.mlp.hook_post", ["english"])


def test_two_tokenizers_are_refused_and_both_are_named(copied, outside):
    train_tokenizer(TEXTS[::-1], 270).save_pretrained(copied)
    with pytest.raises(FeatrackError) as caught:
        loading.find_all(lineage(base=outside / "OPT", other=copied), 16)
    said = (
        "models.base (TokenizersBackend of 280 tokens) and models.other (TokenizersBackend of 270"
    )
    assert said in str(caught.value)


def test_tokens_that_a_fine_tune_has_added_do_not_matter(copied, outside):
    tokenizer = transformers.AutoTokenizer.from_pretrained(copied)
    tokenizer.add_tokens(["<|user|>"], special_tokens=True)
    tokenizer.save_pretrained(copied)
    assert {*loading.find_all(lineage(base=outside / "Phi", chat=copied), 16)} == {"base", "chat"}


def test_more_tokens_than_the_model_knows_are_refused(copied):
    tokenizer = transformers.AutoTokenizer.from_pretrained(copied)
    tokenizer.add_tokens([f"<{i}>" for i in range(200)])
    tokenizer.save_pretrained(copied)
    assert "has 480 tokens and the model knows 384" in refused({"load": str(copied)})


def test_a_block_or_a_context_that_a_model_does_not_have_is_refused_with_the_nearest(outside):
    models = {"base": {"load": str(outside / "GPT2")}}
    with pytest.raises(FeatrackError, match=r"has 3 blocks; the nearest is blocks.2.hook_mlp_out"):
        loading.find_all(Lineage(models, "blocks.7.hook_mlp_out"), 16)
    with pytest.raises(FeatrackError, match=f"and models.base reads {CONTEXT} tokens at most"):
        loading.find_all(Lineage(models), CONTEXT + 1)


@pytest.mark.parametrize(
    ("site", "nearest"),
    [
        ("blocks.2.mlp.hook_pots", r"blocks.2.mlp.hook_post"),
        ("blocks.0.attn.hook_q", r"blocks.0.attn.hook_z"),
        ("hook_embed", "blocks.0."),
    ],
)
def test_a_site_that_is_no_hook_point_is_answered_with_the_nearest(site, nearest):
    with pytest.raises(FeatrackError, match=f"which no model has; the nearest is {nearest}"):
        Lineage({"base": {"load": "x"}}, site)


def test_a_model_that_differs_under_hooks_is_refused(outside, monkeypatch):
    boot = loading.boot
    monkeypatch.setattr(loading, "boot", lambda _: boot(outside / "GPT2"))
    with pytest.raises(FeatrackError, match=r"the logits differ by .* from the plain model's"):
        self_check(outside / "Llama", "blocks.1.hook_resid_post", TOKENS)


def own(**overrides):
    return load_profile(PROFILES / "own.yaml", overrides)


def test_the_profile_own_waits_for_models_and_then_reads_all_texts_with_them():
    with pytest.raises(FeatrackError, match="names no models; write for instance"):
        own()
    models = {"base": {"load": "a"}, "child": {"load": "b", "parent": "base"}}
    profile = own(models=models, site="blocks.3.hook_resid_post")
    assert profile.lineage.reads("child") == profile.lineage.domains == ("english", "python")
    assert (profile.lineage.layer, profile.lineage.writer) == (3, "block")
    sources = {"english": None, "mine": {"kind": "files", "globs": ["*.txt"]}}
    told = own(
        models=models | {"base": {"load": "a", "reads": ["mine"]}}, corpora={"sources_of": sources}
    )
    assert told.lineage.reads("base") == ("mine",)
    assert {*told.lineage.reads("child")} == {"python", "mine"}
    assert told.corpora.train_tokens == {"python": 400_000, "mine": 400_000}


def test_a_fine_tune_of_a_loaded_model_and_a_merge_of_two_stand_in_one_lineage():
    models = {
        "base": {"load": "a"},
        "tuned": {"parent": "base", "train": ["python"]},
        "chat": {"load": "b", "parent": "base", "reads": ["english"]},
        "both": {"merge": ["tuned", "chat"], "t": 0.5},
        "theirs": {"load": "c", "parent": ["tuned", "chat"]},
    }
    lineage = own(models=models).lineage
    assert lineage.merges == ("both", "theirs") and lineage.tuned == ("tuned",)
    assert ("base", "theirs") in lineage.edges and ("tuned", "theirs") in lineage.edges
    assert lineage.loaded == ("base", "chat", "theirs")


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        ({"a": {"load": "x"}, "b": {"load": "y", "parent": "c"}}, "'c', which isn't there; the"),
        (
            {"a": {"load": "x", "parent": "b"}, "b": {"load": "y", "parent": "a"}},
            "models.a descends from itself",
        ),
        ({"a": {"load": 3}}, "models.a.load is 3; write a folder or a name on the hub"),
        (
            {"a": {"train": ["english"]}, "b": {"load": "y", "parent": "a"}},
            "models.b is loaded, and models.a, from which it descends, is trained here",
        ),
        (
            {
                "a": {"load": "x"},
                **{name: {"load": name, "parent": "a"} for name in "bc"},
                "d": {"merge": ["b", "c"]},
            },
            "models.d.t is balanced between its parents' own texts, and b and c have the same",
        ),
    ],
)
def test_a_lineage_of_loaded_models_that_can_not_be_is_refused(models, sentence):
    with pytest.raises(FeatrackError) as caught:
        own(models=models, corpora={"vocab_size": 300})
    assert sentence in str(caught.value)


@pytest.fixture(scope="module")
def given(tmp_path_factory, outside):
    """A dictionary for the first family's MLP, and the activations that it reads."""
    folder = tmp_path_factory.mktemp("given") / "sae"
    sae = new_sae(64, architecture="standard", expansion=2, l1_coefficient=1.0, k=1, **QUICK)
    sae.cfg.normalize_activations = "none"
    sae.cfg.metadata.hook_name = "blocks.1.mlp.hook_post"
    sae.save_inference_model(folder)
    model = loading.load_model(outside / "GPT2")
    blocks = np.arange(8 * 24).reshape(8, 24) * 7 % 300
    return folder, Buffers(model, blocks, "blocks.1.mlp.hook_post")


QUICK = {"l1_warm_up_steps": 0, "seed": 0}


def test_a_given_dictionary_says_the_same_of_activations_with_unit_rows(given, tmp_path):
    folder, buffers = given
    dictionaries.bring_in("dictionaries.base", folder, buffers, tmp_path)
    theirs, ours = load_sae(folder), load_sae(tmp_path)
    torch.testing.assert_close(ours.W_dec.norm(dim=1), torch.ones(128))
    x = buffers[0]
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    (row,) = pd.read_csv(tmp_path / "history.csv").to_dict("records")
    assert row["l0"] == pytest.approx((theirs.encode(x) > 0).float().sum(1).mean().item())


def changed_config(folder, place, **changes):
    shutil.copytree(folder, place)
    config = json.loads((place / "cfg.json").read_text())
    (place / "cfg.json").write_text(json.dumps(config | changes))
    return place


def test_a_dictionary_that_does_not_fit_is_refused_in_one_sentence(given, tmp_path):
    def fit(place, d_in=64):
        with pytest.raises(FeatrackError) as caught:
            dictionaries.require_fit("dictionaries.base", place, "blocks.1.mlp.hook_post", d_in)
        return str(caught.value)

    folder, _ = given
    assert dictionaries.require_fit("x", folder, "blocks.1.mlp.hook_post", 64) == 128
    assert "reads 64 numbers a token, and the model has 32" in fit(folder, 32)
    elsewhere = changed_config(folder, tmp_path / "a", metadata={"hook_name": "blocks.2.hook_z"})
    assert "was trained at blocks.2.hook_z, and site is blocks.1.mlp.hook_post" in fit(elsewhere)
    normed = changed_config(folder, tmp_path / "b", normalize_activations="layer_norm")
    assert "wants activations normalised by layer_norm" in fit(normed)
    with pytest.raises(FeatrackError, match=r"holds no cfg.json; give a folder in SAELens' own"):
        dictionaries.find("dictionaries.base", str(tmp_path))
    with pytest.raises(FeatrackError, match="neither a folder here nor a release of SAELens"):
        dictionaries.find("dictionaries.base", "/nowhere/sae")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"bas": ["x"]}, "dictionaries.bas is of no model; the nearest is base"),
        ({"base": ["x"]}, "dictionaries gives none to child; give each model some, or none"),
    ],
)
def test_dictionaries_are_given_to_all_models_or_to_none(given, sentence):
    models = {"base": {"load": "a"}, "child": {"load": "b", "parent": "base"}}
    with pytest.raises(FeatrackError, match=sentence):
        own(models=models, dictionaries=given)
    both = own(models=models, dictionaries={"base": ["x", "y", "w"], "child": ["z", "u"]})
    assert both.seeds == (3, 2) and own(models=models).seeds == (3, 2)
    assert own(models=models, dictionaries={"base": ["x"], "child": ["z"]}).seeds == (1, 1)
