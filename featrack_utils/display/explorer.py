"""The feature explorer's page, and its data as classic scripts that it can load from a file, too.

A page that is opened from a file may not fetch, but may add scripts. Each is one call,
`featrackExplorer.receive("name", data)`. The data are a promise of JSON, deflated to a third of its
size, in base64, which no token can break out of.
"""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

from IPython.display import HTML

from featrack_utils.matching import flow

FORMAT = 3
CHUNK = 256  # features in one file of details
# The last: no neighbour has it, but a model further along its line does.
CLASSES = (*flow.CLASSES, "elsewhere")
LOGITS = 8  # tokens shown that a feature raises, and that it lowers
TOP_TOKENS = 5
# In book/_static/explorer/, each after those it needs.
STYLES = [f"{name}.css" for name in ("explorer", "form", "list", "feature")]
_PARTS = "data text state search figures controls list matches feature main"
SCRIPTS = [f"{name}.js" for name in _PARTS.split()]
_AT = "../_static/explorer"  # seen from a page of the book
# What a browser makes of it; from a disk nothing else would compress it.
_UNPACK = (
    'new Response(new Blob([Uint8Array.from(atob("DATA"),c=>c.charCodeAt(0))]).stream()'
    '.pipeThrough(new DecompressionStream("deflate"))).json()'
)
PAGE = "book/_build/html/executed/explorer.html"


def page(runs_models: bool = False) -> HTML:
    """A place for the explorer, its styles and scripts; a notebook shows the way to the page.

    With `runs_models` features can be tried on the reader's text (page_models.py).
    """
    styles = [f'<link rel="stylesheet" href="{_AT}/{name}">' for name in STYLES]
    scripts = [f'<script defer src="{_AT}/{name}"></script>' for name in SCRIPTS]
    live = " data-live" if runs_models else ""
    return HTML(
        "\n".join(styles) + f'\n<div id="featrack-explorer"{live}><p>The explorer belongs to the '
        f"rendered book: open <code>{PAGE}</code> in a browser.</p></div>\n"
        "<noscript><p>The explorer needs JavaScript; the rest of the book does without.</p>"
        "</noscript>\n" + "\n".join(scripts)
    )


def write(folder: Path, name: str, data: Any) -> None:
    """One file of the data, JSON values, as the script `name`.js."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    packed = base64.b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")
    script = f'featrackExplorer.receive("{name}",{_UNPACK.replace("DATA", packed)});\n'
    (folder / f"{name}.js").write_text(script, "ascii")
