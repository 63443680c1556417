"""Clean executed notebooks: no progress bars, warnings, machine paths or run-to-run noise."""

import re
from collections.abc import Mapping

from nbformat import NotebookNode
from nbformat.v4 import new_output

from featrack_utils.errors import FeatrackError

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_WIDGET_NOTE = (
    '<p class="featrack-widget-note"><em>A control that needs a running kernel stands here in '
    "JupyterLab; the still picture of this section shows the same.</em></p>"
)
# tqdm: " 42%|████▏     | 42/100 [00:01<00:02, 30.1it/s]"; without a total "42it [00:01, 30it/s]".
_PROGRESS = re.compile(r"\d+%\||\d+\S*it \[\d+:\d+")
# A repr that shows only a type and a memory address tells a reader nothing.
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+\b")
_BARE_FIGURE = re.compile(r"^<Figure size [\d.]+x[\d.]+ with \d+ Axes>$")
_NOTEBOOK_KEYS = ("kernelspec", "language_info")
_CELL_NOISE = ("papermill", "execution", "ExecuteTime", "widgets", "lines_to_next_cell")


def clean_notebook(notebook: NotebookNode, page: str, replacements: Mapping[str, str]) -> None:
    """Clean `notebook` in place so that equal content gives equal bytes.

    `replacements` maps this machine's absolute paths to what a reader should see instead.
    Raises FeatrackError if a cell of the page stopped with an error.
    """
    notebook.metadata = NotebookNode(
        {key: notebook.metadata[key] for key in _NOTEBOOK_KEYS if key in notebook.metadata}
    )
    count = 0
    _hide_with_parameters(notebook)
    for place, cell in enumerate(notebook.cells):
        # Conversion and execution draw random ids; the place in the page is as unique.
        cell.id = f"cell-{place:03d}"
        for key in _CELL_NOISE:
            cell.metadata.pop(key, None)
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        _fold_parameters(cell)
        cell.source = replace_paths(cell.source, replacements)
        _number_figure(cell)
        cell.outputs = _clean_outputs(cell, page, replacements)


def _hide_with_parameters(notebook: NotebookNode) -> None:
    """Where a page removes its parameters cell, the injected values go with it."""
    tagged = {tag: cell for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    given, injected = tagged.get("parameters"), tagged.get("injected-parameters")
    if given and injected and "remove-cell" in given.metadata.tags:
        injected.metadata.tags = [*injected.metadata.tags, "remove-cell"]


def _fold_parameters(cell: NotebookNode) -> None:
    """Keep both parameter cells readable in one click, the injected one as plain values."""
    tags = cell.metadata.get("tags", [])
    for tag, prompt in (
        ("parameters", "Parameters, with their reasons"),
        ("injected-parameters", "The values of this run"),
    ):
        if tag in tags:
            cell.metadata.tags = sorted({*tags, "hide-input"})
            cell.metadata.mystnb = {"code_prompt_show": prompt, "code_prompt_hide": prompt}
    if "injected-parameters" in tags:
        cell.source = re.sub(r"\A# Parameters\n", "", cell.source)


def _number_figure(cell: NotebookNode) -> None:
    """Makes a numbered figure of a picture and its caption, as `display.text.show` put them out."""
    marks = [output.get("metadata", {}).get("featrack", {}) for output in cell.outputs]
    for mark in marks:
        if "caption" in mark:
            figure = {"caption": mark["caption"], "name": mark["name"]}
            cell.metadata.mystnb = {"figure": figure, "image": {"alt": mark["alt"]}}
    cell.outputs = [
        output for output, mark in zip(cell.outputs, marks, strict=True) if "caption_of" not in mark
    ]


def _clean_outputs(
    cell: NotebookNode, page: str, replacements: Mapping[str, str]
) -> list[NotebookNode]:
    kept: list[NotebookNode] = []
    for output in cell.outputs:
        if output.output_type == "error":
            if "raises-exception" not in cell.metadata.get("tags", []):
                raise FeatrackError(
                    f"Page {page} stopped at an error ({output.ename}: {output.evalue}): "
                    "mend it and run the page again."
                )
            output.traceback = [replace_paths(line, replacements) for line in output.traceback]
            kept.append(output)
        elif output.output_type == "stream":
            text = "" if output.name == "stderr" else _without_progress(output.text)
            if not text.strip():
                continue
            text = replace_paths(text, replacements)
            if kept and kept[-1].output_type == "stream":
                # How a run's text falls into pieces depends on timing.
                kept[-1].text += text
            else:
                kept.append(new_output("stream", name="stdout", text=text))
        elif "<progress" in output.data.get("text/html", ""):
            continue  # transformers' progress bar, with a table of every logged step
        elif data := _clean_data(output.data, replacements):
            output.data = data
            output.metadata = NotebookNode()
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
            kept.append(output)
    return kept


def _without_progress(text: str) -> str:
    """Text as a terminal would leave it, less the lines of progress bars."""
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    return "\n".join(line for line in lines if not _PROGRESS.search(line))


def _clean_data(data: NotebookNode, replacements: Mapping[str, str]) -> NotebookNode:
    plain = data.get("text/plain", "")
    if WIDGET_VIEW in data:
        if "%" in plain or "it/s" in plain or "HBox" in plain:
            return NotebookNode()  # a progress bar
        return NotebookNode({"text/html": _WIDGET_NOTE, "text/plain": ""})
    others = [kind for kind in data if kind != "text/plain"]
    if not others and (_ADDRESS.search(plain) or _BARE_FIGURE.match(plain)):
        return NotebookNode()
    cleaned = NotebookNode(
        {
            kind: replace_paths(value, replacements) if isinstance(value, str) else value
            for kind, value in data.items()
        }
    )
    if others and "text/plain" in cleaned:
        # Beside a picture or a table the plain form is only a repr, often with an address.
        cleaned["text/plain"] = _ADDRESS.sub("", cleaned["text/plain"])
    return cleaned


def replace_paths(text: str, replacements: Mapping[str, str]) -> str:
    """`text` with every absolute path replaced, the longest path first."""
    for path in sorted(replacements, key=len, reverse=True):
        text = text.replace(path, replacements[path])
    return text
