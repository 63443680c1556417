"""Bad inputs and the sentence that each gets: one table. Inputs at random: test_any_input.py."""

# ruff: noqa: E501 (a row is a line)

import json
import re
from pathlib import Path

import httpx
import openai
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from featrack_utils import run as command_line
from featrack_utils.corpora import hub
from featrack_utils.corpora.documents import SourceConfig
from featrack_utils.corpora.files import file_documents, fingerprint
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation import chat
from featrack_utils.lineage import Lineage
from featrack_utils.pipeline.profile import load_profile

SMOKE = Path(__file__).parent.parent / "profiles" / "smoke.yaml"
PAPER = yaml.safe_load(SMOKE.read_text("utf-8"))["models"]
ROOT = {"base": {"train": ["english"]}}
CHAPTER = '# %% tags=["parameters"]\nsteps = 3\nrates = [0.1, 1]\nname = "x"\n'


def read_lineage(models):
    Lineage(models)


def read_merge(entry):
    Lineage(PAPER | {"merged": {"merge": ["lua", "stories"]} | entry})


def read_profile(overrides):
    load_profile(SMOKE, overrides)


def read_profile_file(content):
    Path("mine.yaml").write_bytes(content)
    load_profile(Path("mine.yaml"))


def read_text(file):
    """A pattern of files, or a file's name with its bytes or, of a table, its columns."""
    name, content = (file, None) if isinstance(file, str) else file
    if isinstance(content, dict):
        pq.write_table(pa.table(content), name)
    elif content is not None:
        Path(name).write_bytes(content)
    list(file_documents("prose", [name]))


def read_source(source):
    fingerprint({"lua": source})


def read_row(row):
    source = SourceConfig.read("prose", {"kind": "hub", "path": "a/b"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "_rows", lambda *_: iter([row]))
        list(hub.hub_documents("prose", source, 0))


def ask_endpoint(reply):
    """A status and what is said; the client asks once."""
    status, content = reply
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    header = {"content-type": "text/html" if content[:1] == b"<" else "application/json"}
    answer = httpx.MockTransport(lambda _: httpx.Response(status, content=content, headers=header))
    server = chat.ChatServer("http://host/v1/", "tiny", "", Path("answers"), 9)
    server._client = openai.OpenAI(
        base_url="http://host/v1",
        api_key="x",
        max_retries=0,
        http_client=httpx.Client(transport=answer),
    )
    server.ask("system", ["prompt"])


def begin_endpoint(environment):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        key = "MY_KEY" if "MY_KEY" in environment else ""
        chat.ChatServer(environment.get("URL", "http://host/v1"), "tiny", key, Path("answers"), 9)


def run_chapter(chapter):
    """A chapter's text and the command line after its name."""
    text, *arguments = chapter
    Path("chapters").mkdir()
    Path("folder.ipynb").mkdir()
    Path("file").touch()
    Path("chapters/01-mine.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command_line, "NOTEBOOKS", Path("chapters"))
        arguments = arguments if arguments[:1] != ["other"] else arguments[1:]
        return command_line.main(["mine", *arguments] if arguments else ["mine", "out.ipynb"])


READERS = {
    "lineage": read_lineage,
    "merge": read_merge,
    "profile": read_profile,
    "profile file": read_profile_file,
    "text": read_text,
    "source": read_source,
    "row of the hub": read_row,
    "endpoint": ask_endpoint,
    "environment": begin_endpoint,
    "chapter": run_chapter,
}
# "…" stands for words of a library.
TABLE = r"""
## lineage
{} => The profile names no models; write for instance models: {base: {train: [english]}, child: {parent: base, train: [lua]}}.
['base'] => The profile names no models; write for instance models: {base: {train: [english]}, child: {parent: base, train: [lua]}}.
'base' => The profile names no models; write for instance models: {base: {train: [english]}, child: {parent: base, train: [lua]}}.
None => The profile names no models; write for instance models: {base: {train: [english]}, child: {parent: base, train: [lua]}}.
{'my_base': {'train': ['english']}} => models.my_base: a model's name has letters, digits and dashes only; rename it.
{'a b': {'train': ['x']}} => models.a b: a model's name has letters, digits and dashes only; rename it.
{'../a': {'train': ['x']}} => models.../a: a model's name has letters, digits and dashes only; rename it.
{'base': {'train': ['x']}, 'b': {'parent': 'bse', 'train': ['y']}} => models.b descends from 'bse', which isn't there; the nearest is base.
{'b': {'parent': 'b', 'train': ['y']}} => models.b descends from itself; name another parent.
{'a': {'train': ['x']}, 'c': {'parent': 'd', 'train': ['y']}, 'd': {'parent': 'c', 'train': ['z']}} => models.c descends from itself; name another parent.
{'a': {'train': ['x']}, 'b': {'train': ['y']}} => models.a and models.b both have no parent; all models of a lineage descend from one.
{'a': {}} => models.a must say one of train, merge and load, and says none.
{'a': {'train': ['x'], 'merge': ['a', 'b']}} => models.a must say one of train, merge and load, and says train and merge.
{'a': {'train': ['x'], 'trian': 3}} => models.a has no key trian; the nearest known one is train.
{'a': {'train': ['x', 'x']}} => models.a.train is ['x', 'x']; list names in brackets, each once.
{'a': {'train': 'english'}} => models.a.train is 'english'; list names in brackets, each once.
{'a': {'train': []}} => models.a.train is []; list names in brackets, each once.
{'a': {'train': [1]}} => models.a.train is [1]; list names in brackets, each once.
{'a': {'train': [['x']]}} => models.a.train is [['x']]; list names in brackets, each once.
{'a': ['english']} => models.a is ['english']; write a mapping such as {train: [english]}.
{'a': None} => models.a is None; write a mapping such as {train: [english]}.
{'a': {'load': 3}} => models.a.load is 3; write a folder or a name on the hub.
{'a': {'load': ''}} => models.a.load is ''; write a folder or a name on the hub.
{'a': {'parent': ['b'], 'train': ['x']}} => models.a is trained and has several parents; name one, or load a merge of them.

{"a": {"train": ["x"]}, "b": {"parent": True, "train": ["y"]}} => models.b.parent is True; name a model.

## merge
{'method': 'ties?'} => models.merged.method is 'ties?'; choose one of slerp, linear.
{'merge': ['base', 'lua', 'stories']} => models.merged merges 3 models by slerp, which takes two.
{'method': 'linear', 't': 0.5} => models.merged has a t, which linear doesn't use; leave it out, or merge two models by slerp.
{'t': 2} => models.merged.t is 2; write balanced or a number from 0 to 1.
{'t': 'half'} => models.merged.t is 'half'; write balanced or a number from 0 to 1.
{'t': True} => models.merged.t is True; write balanced or a number from 0 to 1.
{'t': float("nan")} => models.merged.t is nan; write balanced or a number from 0 to 1.
{'merge': ['lua']} => models.merged merges 1 models by slerp, which takes two.
{'merge': 'lua'} => models.merged.merge is 'lua'; list names in brackets, each once.
{'merge': ['lua', 'lua']} => models.merged.merge is ['lua', 'lua']; list names in brackets, each once.
{'merge': ['lua', 'luna']} => models.merged descends from 'luna', which isn't there; the nearest is lua.

## profile
{'sead': 1} => Unknown parameter sead; the nearest known one is seed.
{'mergee': {'x': 0.4}} => Unknown parameter mergee; the nearest known one is merge.
{'merge': {'sweep': 9}} => Unknown parameter merge.sweep; the nearest known one is merge.sweep_points.
{'sae': {'l1': 2.0}} => Unknown parameter sae.l1; the nearest known one is sae.l1_coefficient.
{'sae': {'expantion': 4}} => Unknown parameter sae.expantion; the nearest known one is sae.expansion.
{'models': {'alone': {'train': ['luau']}}} => corpora.sources_of lacks luau, which a model is trained on; add it.
{'merge': 0.4} => merge is 0.4; it must be a valid dictionary or instance of Merge.
{'precision': 'float16'} => precision is 'float16'; it must be 'auto', 'float32' or 'bfloat16'.
{'seed': -1} => seed is -1; it must be greater than or equal to 0.
{'seed': '2020-13-45'} => seed is '2020-13-45'; it must be a valid integer, unable to parse string as an integer.
{'pretraining': {'base': None}} => Unknown parameter pretraining.base; the nearest known one is pretraining.warmup_share.
{'device': 'tpu'} => device is 'tpu'; it must be 'auto', 'cuda', 'mps' or 'cpu'.
{'pretraining': {'d_model': True}} => pretraining.d_model is True; it must be a number.
{'pretraining': {'d_model': '32.5'}} => pretraining.d_model is 32.5; it must be a valid integer, got a number with a fractional part.
{'pretraining': {'learning_rate': 'fast'}} => pretraining.learning_rate is 'fast'; it must be a valid number, unable to parse string as a number.
{'pretraining': {'learning_rate': False}} => pretraining.learning_rate is False; it must be a number.
{'pretraining': {'learning_rate': None}} => pretraining.learning_rate is None; it must be a valid number.
{'sae': {'architecture': 3}} => sae.architecture is 3; it must be 'standard', 'topk' or 'batchtopk'.
{'merge': {'sweep_points': [5]}} => merge.sweep_points is [5]; it must be a valid integer.
{'corpora': {'validation_tokens': 0}} => corpora.validation_tokens is 0; it must be greater than or equal to 1.
{'corpora': {'validation_share': 0.5}} => corpora.validation_share is 0.5; it must be less than 0.5.
{'corpora': {'vocab_size': 256}} => corpora.vocab_size is 256; it must be greater than 256.
{'corpora': {'context': 1}} => corpora.context is 1; it must be greater than or equal to 8.
{'corpora': {'train_tokens': {'lua': -1}}} => corpora.train_tokens.lua is -1; it must be greater than or equal to 1.
{'corpora': {'train_tokens': {'lua': 'many'}}} => corpora.train_tokens.lua is 'many'; it must be a valid integer, unable to parse string as an integer.
{'corpora': {'sources_of': {'lua': 'embedded'}}} => corpora.sources_of.lua is 'embedded'; it must be a valid dictionary.
{'pretraining': {'n_heads': 5}} => pretraining.n_heads 5 must divide d_model 32 into even parts, and pretraining.n_kv_heads 2 must divide n_heads.
{'pretraining': {'n_heads': 32}} => pretraining.n_heads 32 must divide d_model 32 into even parts, and pretraining.n_kv_heads 2 must divide n_heads.
{'pretraining': {'n_kv_heads': 3}} => pretraining.n_heads 4 must divide d_model 32 into even parts, and pretraining.n_kv_heads 3 must divide n_heads.
{'pretraining': {'learning_rate': float("inf")}} => pretraining.learning_rate is inf; it must be a finite number.
{'finetune': {'batch_blocks': 0}} => finetune.batch_blocks is 0; it must be greater than or equal to 1.
{'finetune': {'warmup_share': 1.0}} => finetune.warmup_share is 1.0; it must be less than 1.
{'merge': {'sweep_points': 2}} => merge.sweep_points is 2; it must be greater than or equal to 3.
{'sae': {'architecture': 'gated'}} => sae.architecture is 'gated'; it must be 'standard', 'topk' or 'batchtopk'.
{'sae': {'l1_coefficient': float("nan")}} => sae.l1_coefficient is nan; it must be a finite number.
{'sae': {'k': 513}} => sae.k is 513, but the dictionary has only 256 features (4 × 64 numbers a token).
{'sae': {'train_tokens': 511}} => sae.train_tokens is 511; it must be a batch of 512 or more.
{'sae': {'other_seeds': 1}} => sae.other_seeds is 1; it must be greater than or equal to 2.
{'tracking': {'tau': 1.0}} => tracking.tau is 1.0; it must be less than 1.
{'tracking': {'tau': float("nan")}} => tracking.tau is nan; it must be a finite number.
{'tracking': {'rule': 'greedy'}} => tracking.rule is 'greedy'; it must be 'best' or 'mutual'.
{'tracking': {'replicates': 0}} => tracking.replicates is 0; it must be greater than or equal to 1.
{'pretraining': {'n_heads': 0}} => pretraining.n_heads is 0; it must be greater than or equal to 1.
{'pretraining': {'weight_decay': -0.1}} => pretraining.weight_decay is -0.1; it must be greater than or equal to 0.
{'finetune': {'train_tokens': -1}} => finetune.train_tokens is -1; it must be greater than or equal to 0.
{'sae': {'k': 0}} => sae.k is 0; it must be greater than or equal to 1.
{'sae': {'batch_tokens': 0}} => sae.batch_tokens is 0; it must be greater than or equal to 1.
{'sae': {'expansion': 0}} => sae.expansion is 0; it must be greater than or equal to 1.
{'sae': {'l1_coefficient': -1.0}} => sae.l1_coefficient is -1.0; it must be greater than or equal to 0.
{'tracking': {'control_draws': 0}} => tracking.control_draws is 0; it must be greater than or equal to 1.
{'arms': {'dosed': ['merged']}} => arms.dosed holds 'merged'; name models that are fine-tuned here: lua, stories.
{'site': 'blocks.0.nowhere'} => site is 'blocks.0.nowhere', which no model has; the nearest is blocks.0.hook_resid_post.
{'site': 3} => site is 3; it must be a valid string.
{'interpretation': {'base_url': 'localhost'}} => interpretation.base_url must be a web address such as http://localhost:8000/v1.
{'interpretation': {'base_url': 'ftp://x'}} => interpretation.base_url must be a web address such as http://localhost:8000/v1.
{'interpretation': {'base_url': 'http://me:secret@x/v1'}} => interpretation.base_url must hold no user, password or query; put a key into the environment variable that interpretation.key_variable names.
{'interpretation': {'base_url': 'http://x/v1?key=secret'}} => interpretation.base_url must hold no user, password or query; put a key into the environment variable that interpretation.key_variable names.
{'name': 'a;touch x'} => name is 'a;touch x'; it names a folder of runs/: begin with a letter or a digit, use letters, digits, dots, dashes and underscores, and not the name trials.
{'name': '..'} => name is '..'; it names a folder of runs/: begin with a letter or a digit, use letters, digits, dots, dashes and underscores, and not the name trials.
{'name': '../mine'} => name is '../mine'; it names a folder of runs/: begin with a letter or a digit, use letters, digits, dots, dashes and underscores, and not the name trials.
{'name': 'my run'} => name is 'my run'; it names a folder of runs/: begin with a letter or a digit, use letters, digits, dots, dashes and underscores, and not the name trials.
{'name': '.hidden'} => name is '.hidden'; it names a folder of runs/: begin with a letter or a digit, use letters, digits, dots, dashes and underscores, and not the name trials.
{'name': 'trials'} => name is 'trials'; it names a folder of runs/: begin with a letter or a digit, use letters, digits, dots, dashes and underscores, and not the name trials.
{'name': ''} => name is ''; it names a folder of runs/: begin with a letter or a digit, use letters, digits, dots, dashes and underscores, and not the name trials.

## profile file
b'a: [1' => mine.yaml is not valid YAML: while parsing a flow sequence in "<unicode string>", line 1, column 4: a: [1 ^ expected ',' or ']', but got '<stream end>' in "<unicode string>", line 1, column 6: a: [1 ^.
b'- 1\n- 2\n' => mine.yaml must hold a mapping of sections to parameters.
b'' => mine.yaml must hold a mapping of sections to parameters.
b'\xff\xfe\x00' => mine.yaml is not valid YAML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte.
b'just words' => mine.yaml must hold a mapping of sections to parameters.
b'seed: 1\n' => The profile lacks precision; add it.
b'a: &a [*a]\n' => The profile lacks seed; add it.
b"{" * 400 => mine.yaml is not valid YAML: while parsing a flow node expected the node content, but found '<stream end>' in "<unicode string>", line 1, column 401: ... {{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{ ^.
b'seed: 2020-13-45' => mine.yaml is not valid YAML: month must be in 1..12.

## text
'$NO_SUCH/*.txt' => The prose corpus is read from $NO_SUCH/*.txt, but the environment variable NO_SUCH is not set; set it to the folder that holds the files.
'nothing/*.txt' => The prose corpus is empty: nothing/*.txt matches no file; correct the glob or put text files there.
'' => The prose corpus is empty:  matches no file; correct the glob or put text files there.
'[' => The prose corpus is empty: [ matches no file; correct the glob or put text files there.
'**' => The prose corpus is empty: ** matches no file; correct the glob or put text files there.
('empty.txt', b' \n\n ') => The prose corpus has no text: all 1 files matched by empty.txt are empty or not UTF-8 text; convert them to UTF-8 or point the globs at other files.
('binary.txt', b'abc\x00def') => The prose corpus has no text: all 1 files matched by binary.txt are empty or not UTF-8 text; convert them to UTF-8 or point the globs at other files.
('latin.txt', b'caf\xe9') => The prose corpus has no text: all 1 files matched by latin.txt are empty or not UTF-8 text; convert them to UTF-8 or point the globs at other files.
('wide.txt', b'\xff\xfex\x00') => The prose corpus has no text: all 1 files matched by wide.txt are empty or not UTF-8 text; convert them to UTF-8 or point the globs at other files.
('title.jsonl', b'{"title": "x"}\n') => Line 1 of title.jsonl in the prose corpus has no column 'text' (it has 'title'); set the corpus's column to the one that holds the text.
('number.jsonl', b'{"text": 3}') => Line 1 of number.jsonl in the prose corpus holds a int in column 'text', not text; set the corpus's column to the one that holds the text.
('list.jsonl', b'[1]\n') => Line 1 of list.jsonl in the prose corpus has no column 'text' (it has none); set the corpus's column to the one that holds the text.
('words.jsonl', b'{"text": ["a", "b"]}') => Line 1 of words.jsonl in the prose corpus holds a list in column 'text', not text; set the corpus's column to the one that holds the text.
('chat.jsonl', b'{"text": [{"role": "user", "content": null}]}') => Line 1 of chat.jsonl in the prose corpus holds a list in column 'text', not text; set the corpus's column to the one that holds the text.
('truth.jsonl', b'{"text": true}') => Line 1 of truth.jsonl in the prose corpus holds a bool in column 'text', not text; set the corpus's column to the one that holds the text.
('broken.jsonl', b'{"text": "x"}\n{"text": \n') => Line 2 of broken.jsonl in the prose corpus is not JSON in UTF-8; each line must hold one JSON object.
('bytes.jsonl', b'{"text": "\xff"}') => Line 1 of bytes.jsonl in the prose corpus is not JSON in UTF-8; each line must hold one JSON object.
('wide.jsonl', b'\xff\xfe{\x00"\x00t\x00e\x00x\x00t\x00"\x00:\x00 \x00"\x00x\x00"\x00}\x00') => Line 1 of wide.jsonl in the prose corpus is not JSON in UTF-8; each line must hold one JSON object.
('two.jsonl', b'{"text": "a"}{"text": "b"}') => Line 1 of two.jsonl in the prose corpus is not JSON in UTF-8; each line must hold one JSON object.
('object.jsonl', b'{"text": {"a": 1}}') => Line 1 of object.jsonl in the prose corpus holds a dict in column 'text', not text; set the corpus's column to the one that holds the text.
('nan.jsonl', b'{"text": NaN}') => Line 1 of nan.jsonl in the prose corpus holds a float in column 'text', not text; set the corpus's column to the one that holds the text.
('nulls.jsonl', b'{"text": null}\n{"text": ""}') => The prose corpus has no text: all 1 files matched by nulls.jsonl are empty or not UTF-8 text; convert them to UTF-8 or point the globs at other files.
("long.jsonl", b'{"text": 1' + b"0" * 5000 + b"}") => Line 1 of long.jsonl in the prose corpus is not JSON in UTF-8; each line must hold one JSON object.
("deep.jsonl", b"[" * 100_000) => Line 1 of deep.jsonl in the prose corpus is not JSON in UTF-8; each line must hold one JSON object.
('\x1b[31m.jsonl', b'3') => Line 1 of  [31m.jsonl in the prose corpus has no column 'text' (it has none); set the corpus's column to the one that holds the text.
('title.parquet', {'title': ['x']}) => title.parquet in the prose corpus has no column 'text' (it has 'title'); set the corpus's column to the one that holds the text.
('number.parquet', {'text': [3]}) => number.parquet in the prose corpus holds a int in column 'text', not text; set the corpus's column to the one that holds the text.
('list.parquet', {'text': [['a']]}) => list.parquet in the prose corpus holds a list in column 'text', not text; set the corpus's column to the one that holds the text.
('bytes.parquet', {'text': [b'\xff']}) => bytes.parquet in the prose corpus holds a bytes in column 'text', not text; set the corpus's column to the one that holds the text.
('nulls.parquet', {'text': [None]}) => The prose corpus has no text: all 1 files matched by nulls.parquet are empty or not UTF-8 text; convert them to UTF-8 or point the globs at other files.
('none.parquet', b'') => none.parquet in the prose corpus is not a Parquet file or is damaged; write it anew or leave it out of the glob.
('short.parquet', b'PAR1 nothing else') => short.parquet in the prose corpus is not a Parquet file or is damaged; write it anew or leave it out of the glob.

## source
{'kind': 'net'} => corpora.sources_of.lua.kind is 'net'; it must be 'embedded', 'files' or 'hub'.
{'glob': ['*.lua']} => Unknown parameter corpora.sources_of.lua.glob; the nearest known one is corpora.sources_of.lua.globs.
{'kind': 'files', 'globs': '*.lua'} => corpora.sources_of.lua.globs is '*.lua'; it must be a valid list.
{'text': 'latin'} => The corpus lua reads the embedded text 'latin', which isn't there; set its text to one of english, python, lua, stories, or its kind to files or hub.
{'column': ['a']} => corpora.sources_of.lua.column is ['a']; it must be a valid string.
{'kind': 'files'} => corpora.sources_of.lua is of kind 'files' and has globs []; give globs to the kind 'files' and to no other.
{'globs': ['*.txt']} => corpora.sources_of.lua is of kind 'embedded' and has globs ['*.txt']; give globs to the kind 'files' and to no other.
{'kind': 'hub'} => corpora.sources_of.lua is of kind 'hub' and has path ''; give path to the kind 'hub' and to no other.
{'kind': 'hub', 'path': 'a/b', 'text': 'lua'} => corpora.sources_of.lua is of kind 'hub' and has text 'lua'; give text to the kind 'embedded' and to no other.
{'kind': 'hub', 'path': 'a/b', 'buffer': -1} => corpora.sources_of.lua.buffer is -1; it must be greater than or equal to 0.
{'kind': 'hub', 'dataset': 'a/b'} => Unknown parameter corpora.sources_of.lua.dataset; the nearest known one is corpora.sources_of.lua.text.
{'kind': 'files', 'globs': ['*'], 'path': 'a/b'} => corpora.sources_of.lua is of kind 'files' and has path 'a/b'; give path to the kind 'hub' and to no other.

## row of the hub
{'text': ['a', 'b']} => Row 0 of the data set a/b of the prose corpus holds a list in column 'text', not text; set the corpus's column to the one that holds the text.
{'text': 7} => Row 0 of the data set a/b of the prose corpus holds a int in column 'text', not text; set the corpus's column to the one that holds the text.
{'text': {'a': 1}} => Row 0 of the data set a/b of the prose corpus holds a dict in column 'text', not text; set the corpus's column to the one that holds the text.
{'title': 'x'} => Row 0 of the data set a/b of the prose corpus has no column 'text' (it has 'title'); set the corpus's column to the one that holds the text.
{} => Row 0 of the data set a/b of the prose corpus has no column 'text' (it has none); set the corpus's column to the one that holds the text.

## endpoint
(200, b'<html>busy</html>') => http://host/v1 gave no answer but said: <html>busy</html>
(200, {'error': {'message': 'the model is loading'}}) => http://host/v1 gave no answer but said: ChatCompletion(…
(200, {'choices': []}) => http://host/v1 gave no answer but said: ChatCompletion(…
(200, {'choices': None}) => http://host/v1 gave no answer but said: ChatCompletion(…
(200, {'choices': {}}) => http://host/v1 gave no answer but said: ChatCompletion(…
(200, []) => http://host/v1 gave no answer but said: []
(200, b'') => http://host/v1 gave no answer but said: nothing that could be read
(200, {'choices': [{'message': None}]}) => http://host/v1 gave no answer but said: ChatCompletion(…
(200, {'choices': [{'message': {'content': 3}}]}) => http://host/v1 gave no answer but said: ChatCompletion(…
(401, {'error': {'message': 'no such key'}}) => http://host/v1 refuses the key in the variable that interpretation.key_variable names: Error code: 401 - no such key
(403, b'') => http://host/v1 refuses the key in the variable that interpretation.key_variable names: Error code: 403 -
(404, {'error': 'no model tiny'}) => http://host/v1 refuses the request with model 'tiny': Error code: 404 - {"error": "no model tiny"}
(400, b'<h1>Bad\nrequest</h1>') => http://host/v1 refuses the request with model 'tiny': Error code: 400 - <h1>Bad request</h1>
(429, {'error': 'slow down'}) => http://host/v1 refuses the request with model 'tiny': Error code: 429 - {"error": "slow down"}
(500, b'oops') => http://host/v1 refuses the request with model 'tiny': Error code: 500 - oops
(302, b'') => http://host/v1 refuses the request with model 'tiny': Error code: 302 -

## environment
{'ALL_PROXY': 'socks://host:1'} => No client for http://host/v1 (Unknown scheme for proxy URL URL('socks://host:1')); check interpretation.base_url and the variables ALL_PROXY, HTTPS_PROXY and SSL_CERT_FILE.
{'ALL_PROXY': 'socks5://host:1'} => No client for http://host/v1 (Using SOCKS proxy…); check interpretation.base_url and the variables ALL_PROXY, HTTPS_PROXY and SSL_CERT_FILE.
{'HTTPS_PROXY': 'http://[::1'} => No client for http://host/v1 (Invalid port: ':1'); check interpretation.base_url and the variables ALL_PROXY, HTTPS_PROXY and SSL_CERT_FILE.
{'SSL_CERT_FILE': 'gone.pem'} => No client for http://host/v1 ([Errno 2] No such file or directory); check interpretation.base_url and the variables ALL_PROXY, HTTPS_PROXY and SSL_CERT_FILE.
{'URL': 'http://[::1/v1'} => No client for http://[::1/v1 (Invalid port: ':1'); check interpretation.base_url and the variables ALL_PROXY, HTTPS_PROXY and SSL_CERT_FILE.
{'MY_KEY': ''} => The environment variable MY_KEY that interpretation.key_variable names holds no key; export yours there, or name none for a server that needs no key.
{'MY_KEY': 'ключ'} => The environment variable MY_KEY that interpretation.key_variable names holds no key; export yours there, or name none for a server that needs no key.

## chapter
('x = 1\n',) => The notebook has no cell tagged `parameters`; tag one.
('# %% tags=["parameters"]\nx = (\n',) => The cell tagged `parameters` fails with SyntaxError: '(' was never closed (<string>, line 1); write names with plain values there.
('# %% tags=["parameters"]\nx = 1 / 0\n',) => The cell tagged `parameters` fails with ZeroDivisionError: division by zero; write names with plain values there.
(b'# caf\xe9\n',) => chapters/01-mine.py isn't text in UTF-8; save it as such.
(CHAPTER, 'out',) => The output out isn't named like a notebook; let it end in .ipynb.
(CHAPTER, 'folder.ipynb',) => folder.ipynb exists and was not made by featrack; choose another name for the output.
(CHAPTER, 'file/out.ipynb',) => file/out.ipynb can't be written (File exists); name a file in a folder of yours.
(CHAPTER, "x" * 300 + ".ipynb",) => xxx.ipynb can't be written (File name too long); name a file in a folder of yours.
(CHAPTER, 'out.ipynb', '-p', 'step', '4',) => Unknown parameter mine.step; the nearest known one is mine.steps.
(CHAPTER, 'out.ipynb', '-p', 'steps', 'some',) => mine.steps is 'some'; it must be a valid integer, unable to parse string as an integer.
(CHAPTER, 'out.ipynb', '-p', 'rates', '[fast]',) => mine.rates.0 is 'fast'; it must be a valid number, unable to parse string as a number.
(CHAPTER, 'out.ipynb', '-p', 'rates', '0.1',) => mine.rates is 0.1; it must be a valid list.
(CHAPTER, 'out.ipynb', '-p', 'name', '3',) => mine.name is 3; it must be a valid string.
(CHAPTER, 'out.ipynb', '-p', 'steps', '[1',) => A parameter can't be read: while parsing a flow sequence in "<unicode string>", line 1, column 1: [1 ^ expected ',' or ']', but got '<stream end>' in "<unicode string>", line 1, column 3: [1 ^.
(CHAPTER, 'out.ipynb', '--json', '{',) => A parameter can't be read: Expecting property name enclosed in double quotes: line 1 column 2 (char 1).
(CHAPTER, 'out.ipynb', '--json', '[1]',) => --json is [1]; write one object, as {"t": 0.4}.
"""


def rows():
    for part in TABLE.split("## ")[1:]:
        kind, *lines = part.strip().split("\n")
        for number, line in enumerate(filter(None, lines)):
            given, sentence = line.split(" => ")
            yield pytest.param(kind, given, sentence, id=f"{kind}-{number}")


@pytest.mark.parametrize(("kind", "given", "sentence"), rows())
def test_bad_input_is_one_sentence(kind, given, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        status = READERS[kind](eval(given))
        said = capsys.readouterr().err.removeprefix("featrack: ").removesuffix("\n")
        assert status == 1, "it was taken"
    except FeatrackError as error:
        said = str(error)
    assert said.isprintable() and "secret" not in said
    parts = map(re.escape, sentence.split("…"))
    assert re.fullmatch(".*".join(parts), said.replace("x" * 300, "xxx")), said
    assert not [path for path in tmp_path.rglob("*.ipynb") if path.is_file()]


def test_the_table_holds_at_least_eighty():
    assert sum(1 for _ in rows()) >= 80
