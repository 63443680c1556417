"""What a chapter defines, taken out of it without running it."""

import ast
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import jupytext

from featrack_utils.run import page_of

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


class Chapter(SimpleNamespace):
    """The functions of a chapter, which find what they are given here by its name.

    Beside them stand its imports and what it writes out: parameters, patterns, limits.
    """

    def __init__(self, chapter: str, /, **given):
        for source in sources(chapter):
            defined = [node for node in ast.parse(source).body if defines(node)]
            exec(compile(ast.Module(defined, []), chapter, "exec"), vars(self))
        super().__init__(_chapter=chapter, **given)

    def run_cell(self, part: str) -> None:
        """Runs the one cell that holds this, on what is known by now."""
        (source,) = [each for each in sources(self._chapter) if part in each]
        exec(compile(source, self._chapter, "exec"), vars(self))


@cache
def sources(chapter: str) -> list[str]:
    """The code of a chapter such as "live", cell by cell."""
    (path,) = (path for path in NOTEBOOKS.glob("*.py") if page_of(path) == chapter)
    cells = jupytext.read(path).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def defines(node: ast.stmt) -> bool:
    """Whether a statement imports, defines a function or a class, or names a literal."""
    if isinstance(node, ast.Assign):
        try:
            ast.literal_eval(node.value)
        except ValueError:
            return False
        return all(isinstance(target, ast.Name) for target in node.targets)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
