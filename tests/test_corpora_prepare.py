"""The whole way from sources to streams, for domains under names of one's own."""

import pandas as pd

from featrack_utils.corpora.prepare import open_corpora
from tests.chapters import Chapter

RECIPE = {"validation_tokens": 500, "validation_share": 0.2, "vocab_size": 300, "seed": 1}


def test_any_domains_are_read_encoded_credited_and_opened_in_their_order(tmp_path):
    for i in range(40):
        (tmp_path / f"{i}.txt").write_text(" ".join(f"word{i}-{j}" for j in range(60)))
    sources = {
        "tales": {"kind": "embedded", "text": "stories"},
        "my-notes": {"kind": "files", "globs": [f"{tmp_path}/*.txt"]},
    }
    folder = tmp_path / "corpora"
    folder.mkdir()
    Chapter("corpora").prepare(
        folder,
        sources=sources,
        train_tokens={"tales": 3_000, "my-notes": 2_000},
        vocabulary_from=["tales"],
        **RECIPE,
    )
    corpora = open_corpora(folder, context=16)
    assert list(dict.fromkeys(domain for domain, _ in corpora.streams)) == ["tales", "my-notes"]
    assert {key: len(stream.tokens) for key, stream in corpora.streams.items()} == {
        ("tales", "train"): 3_000,
        ("tales", "validation"): 500,
        ("my-notes", "train"): 2_000,
        ("my-notes", "validation"): 500,
    }
    assert corpora.texts("my-notes", "train")[0].startswith("word")
    credits = pd.read_csv(folder / "provenance.csv", index_col="domain")["package"]
    assert credits.to_dict() == {"tales": "featrack-utils", "my-notes": "your own files"}
