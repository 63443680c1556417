"""Numbers in prose: every figure that a page's text names is looked up in results.json."""

import difflib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import jinja2

from featrack_utils.errors import FeatrackError

NOT_DEFINED = "not defined"
_Number = float | int | None


class Results(Mapping[str, _Number]):
    """Results by name; an unknown name raises FeatrackError with the nearest known one."""

    def __init__(self, values: Mapping[str, _Number]) -> None:
        self._values = dict(values)

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read a flat results.json. Raises FeatrackError if it is missing, broken or not flat."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise FeatrackError(
                f"{path} is missing: run the phases before rendering the book."
            ) from error
        except ValueError as error:
            raise FeatrackError(f"{path} is not valid JSON ({error}): make it again.") from error
        if not isinstance(values, dict):
            raise FeatrackError(f"{path} holds no names with numbers: make it again.")
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float | None):
                raise FeatrackError(f"{path} gives {name!r} as {value!r}, which is no number.")
        return cls(values)

    def __getitem__(self, name: str) -> _Number:
        if name not in self._values:
            near = difflib.get_close_matches(str(name), self._values, n=1, cutoff=0.0)
            hint = f"; the nearest known one is {near[0]!r}" if near else ""
            raise FeatrackError(f"there is no result named {name!r}{hint}")
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self):
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Formatter:
    """The functions that a page may call between double braces.

    Each takes the name of a result, or a number worked out from several.
    """

    def __init__(self, results: Results) -> None:
        self.results = results

    def _value(self, given: str | _Number) -> _Number:
        value = self.results[given] if isinstance(given, str) else given
        return None if value is None or math.isnan(value) else value

    def defined(self, name: str) -> bool:
        """Whether a result exists and has a value: for sentences that depend on it."""
        return name in self.results and self._value(name) is not None

    def number(self, given: str | _Number, digits: int = 2) -> str:
        """A number with thousands separated: 1,234.57."""
        value = self._value(given)
        return NOT_DEFINED if value is None else f"{value:,.{digits}f}".replace("-", "−")

    def count(self, given: str | _Number) -> str:
        """A whole number with thousands separated: 1,235."""
        return self.number(given, 0)

    def share(self, given: str | _Number, digits: int = 1) -> str:
        """A share of one in per cent: 0.2134 is "21.3 %"."""
        value = self._value(given)
        # A no-break space keeps the number and its sign on one line.
        return NOT_DEFINED if value is None else self.number(100 * value, digits) + "\u00a0%"

    def percent(self, given: str | _Number, digits: int = 0) -> str:
        """A share of one in whole per cent, for running text: 0.2134 is "21 %"."""
        return self.share(given, digits)

    def share_ci(self, name: str, digits: int = 1) -> str:
        """A share with its 95 % interval: "21.3 % [20.1, 22.4]"."""
        low, high = self._value(f"{name}.ci_low"), self._value(f"{name}.ci_high")
        if low is None or high is None:
            return self.share(name, digits)
        bounds = f"{self.number(100 * low, digits)}, {self.number(100 * high, digits)}"
        return f"{self.share(name, digits)} [{bounds}]"


class Substitution:
    """Fills Jinja expressions in the text of one page after another."""

    def __init__(self, results: Results) -> None:
        formatter = _Formatter(results)
        # "{#" opens a label in MyST, so comments get a sign that no page uses.
        self._environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            comment_start_string="{##",
            comment_end_string="##}",
            keep_trailing_newline=True,
            autoescape=False,
        )
        self._environment.globals = {
            "results": results,
            "defined": formatter.defined,
            "number": formatter.number,
            "count": formatter.count,
            "share": formatter.share,
            "percent": formatter.percent,
            "share_ci": formatter.share_ci,
        }

    def fill(self, text: str, page: str) -> str:
        """The text with its expressions replaced. Raises FeatrackError naming page and trouble."""
        try:
            return self._environment.from_string(text).render()
        except FeatrackError as error:
            raise FeatrackError(f"Page {page}: {error}.") from error
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise FeatrackError(
                f"Page {page}: the expression in {_first_expression(text)!r} fails: {error}."
            ) from error


def _first_expression(text: str) -> str:
    start = min((place for sign in ("{{", "{%") if (place := text.find(sign)) >= 0), default=0)
    return text[start : start + 60].split("\n")[0]
