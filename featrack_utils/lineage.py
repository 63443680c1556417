"""Who descends from whom: the models of a run, as its profile names them.

```yaml
models:
  base:    {train: [english, python]}
  lua:     {parent: base, train: [lua]}
  stories: {parent: base, train: [stories]}
  merged:  {merge: [lua, stories], method: slerp, t: balanced}
```

A model may also be loaded: ``{load: ~/models/chat, parent: base}``, a folder or a name on the hub.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from featrack_utils.errors import FeatrackError

# A model's own keys, by the one that says how it comes about.
_KEYS = {
    "train": {"train", "parent"},
    "merge": {"merge", "method", "t"},
    "load": {"load", "revision", "parent", "reads"},
}
MERGE_METHODS = ("slerp", "linear")
SITE = "blocks.0.mlp.hook_post"  # the paper's: the only layer's MLP, after its gate
# What writes each hook point that a site can be, and is redrawn in controls.
WRITERS = {
    "mlp.hook_post": "mlp",
    "hook_mlp_out": "mlp",
    "attn.hook_z": "attention",
    "hook_attn_out": "attention",
    "hook_resid_post": "block",
}


class Lineage:
    """The models of a run in the order of their making: parents before children.

    Attributes:
        models: each model's entry in the profile, by name.
        order: names, parents before children and otherwise as the profile orders them.
        root: the one model without a parent.
        loaded: those that come from a folder or from the hub.
        tuned: those that are trained here, starting from a parent.
        merges: those that are merges of others, made here or loaded.
        edges: (parent, child) for each parent of each model, and for its parents' common ancestor.
        domains: all kinds of text that some model has read, in order of first mention.
        site: the hook point whose activations are taken apart, of all models.
        layer: the block of the site, counted from 0.
        hook: the site's name within its block: "mlp.hook_post".
        writer: what writes the site, and is redrawn in controls: "mlp", "attention" or "block".
        texts: domains that are there, trained on or not: what a loaded model is taken to have read
            unless its entry says what it `reads`.
        given: where each model's dictionaries come from, if they aren't trained here; all models
            are named then, or none.
    """

    def __init__(
        self,
        models: Mapping[str, Mapping[str, Any]],
        site: str = SITE,
        texts: Iterable[str] = (),
        given: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        """Checks the section ``models`` of a profile.

        Raises:
            FeatrackError: a name that can't be a folder's, an unknown key, a parent that isn't
                there, models that descend from each other, more than one root, a merge of fewer
                than two models, a site that isn't a hook point (the nearest is named).
        """
        self.site, self.texts = site, tuple(texts)
        self.given = {model: tuple(sources) for model, sources in (given or {}).items()}
        parts = re.fullmatch(r"blocks\.(\d+)\.(\S+)", site)
        if not parts or parts[2] not in WRITERS:
            hook = re.sub(r"^blocks\.\d*\.?", "", site)
            layer = re.match(r"blocks\.(\d+)", site)
            raise FeatrackError(
                f"site is {site!r}, which no model has; the nearest is "
                f"blocks.{layer[1] if layer else 0}.{_nearest(hook, WRITERS)}."
            )
        self.layer, self.hook = int(parts[1]), parts[2]
        self.writer = WRITERS[self.hook]
        if not isinstance(models, Mapping) or not models:
            raise FeatrackError(
                "The profile names no models; write for instance "
                "models: {base: {train: [english]}, child: {parent: base, train: [lua]}}."
            )
        self.models = {name: dict(_checked(name, entry)) for name, entry in models.items()}
        self._lines = self._parents_first()  # each model with all its ancestors
        self.order = names = tuple(self._lines)
        roots = [name for name in names if not self.parents(name)]
        if len(roots) > 1:
            raise FeatrackError(
                f"models.{roots[0]} and models.{roots[1]} both have no parent; all models of a "
                "lineage descend from one."
            )
        self.root = roots[0]
        self.loaded = tuple(name for name in names if "load" in self.models[name])
        self.tuned = tuple(name for name in names[1:] if "train" in self.models[name])
        self.merges = tuple(name for name in names if len(self.parents(name)) > 1)
        pairs = [(parent, name) for name in names for parent in self.parents(name)]
        pairs += [(self.common_ancestor(self.parents(merge)), merge) for merge in self.merges]
        self.edges = tuple(dict.fromkeys(pairs))
        self.domains = tuple(dict.fromkeys(d for name in names for d in self.trained_on(name)))
        self._check_given()
        self._check_phases()

    def parents(self, model: str) -> tuple[str, ...]:
        """The models that one is made from: none, the one it is tuned from, or those merged.

        A loaded model's are those that its entry names: one, or several if it is a merge.
        """
        entry = self.models[model]
        named = entry.get("merge") or entry.get("parent") or ()
        return (named,) if isinstance(named, str) else tuple(named)

    def children(self, model: str) -> tuple[str, ...]:
        """The models made from this one."""
        return tuple(name for name in self.order if model in self.parents(name))

    def ancestors(self, model: str) -> tuple[str, ...]:
        """All models that one descends from, in order, itself left out."""
        return tuple(n for n in self.order if n in self._lines[model] and n != model)

    def common_ancestor(self, models: Iterable[str]) -> str:
        """The latest model that all of these descend from (or are)."""
        shared = set.intersection(*(self._lines[model] for model in models))
        return [name for name in self.order if name in shared][-1]

    def trained_on(self, model: str) -> tuple[str, ...]:
        """The domains that a model's own training reads.

        A loaded model's: those that it is said to have read, and all there are if nothing is said.
        """
        entry = self.models[model]
        unsaid = self.texts if "load" in entry else ()
        return tuple(entry.get("train") or entry.get("reads") or unsaid)

    def reads(self, model: str) -> tuple[str, ...]:
        """The domains that a model's dictionary learns from: its own and its ancestors'.

        Raises:
            FeatrackError: no such model; the nearest is named.
        """
        if model not in self.models:
            raise FeatrackError(
                f"There is no model {model!r}; the nearest is {_nearest(model, self.order)}."
            )
        known = {domain for name in self._lines[model] for domain in self.trained_on(name)}
        return tuple(domain for domain in self.domains if domain in known)

    def _check_given(self) -> None:
        for name in self.given:
            if name not in self.models:
                near = _nearest(name, self.models)
                raise FeatrackError(f"dictionaries.{name} is of no model; the nearest is {near}.")
        lacking = [name for name in self.order if self.given and not self.given.get(name)]
        if lacking:
            raise FeatrackError(
                f"dictionaries gives none to {lacking[0]}; give each model some, or none at all."
            )
        counts = {name: len(self.given.get(name, ())) for name in self.order if name != self.root}
        if len({*counts.values()}) > 1:
            raise FeatrackError(
                f"dictionaries gives {counts} to the models below {self.root}; give each as many."
            )

    def _check_phases(self) -> None:
        if self.root not in self.loaded and self.loaded:
            child = self.loaded[0]
            raise FeatrackError(
                f"models.{child} is loaded, and models.{self.root}, from which it descends, "
                "is trained here with a tokenizer of its own; load that, too."
            )
        # Phases come in this order: the root, all fine-tunes, all merges.
        for model in self.tuned:
            if merged := [name for name in self.ancestors(model) if "merge" in self.models[name]]:
                raise FeatrackError(
                    f"models.{model} is tuned from the merge {merged[0]}, and merges are made "
                    "last; tune before merging."
                )

    def _parents_first(self) -> dict[str, set[str]]:
        for name in self.models:
            if missing := [each for each in self.parents(name) if each not in self.models]:
                raise FeatrackError(
                    f"models.{name} descends from {missing[0]!r}, which isn't there; the nearest "
                    f"is {_nearest(missing[0], self.models)}."
                )
        lines: dict[str, set[str]] = {}
        while waiting := [name for name in self.models if name not in lines]:
            ready = [name for name in waiting if {*self.parents(name)} <= {*lines}]
            if not ready:
                raise FeatrackError(
                    f"models.{waiting[0]} descends from itself; name another parent."
                )
            lines[ready[0]] = {ready[0]}.union(*(lines[p] for p in self.parents(ready[0])))
        return lines


def _nearest(name: object, known: Iterable[str]) -> str:
    return difflib.get_close_matches(str(name), known, n=1, cutoff=0.0)[0]


def label(name: str) -> str:
    """A model's or domain's name as read: "my-chat" is "My-chat"."""
    return name[:1].upper() + name[1:]


def _checked(name: str, entry: Any) -> Mapping[str, Any]:
    where = f"models.{name}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", str(name)):
        raise FeatrackError(
            f"{where}: a model's name has letters, digits and dashes only; rename it."
        )
    if not isinstance(entry, Mapping):
        raise FeatrackError(f"{where} is {entry!r}; write a mapping such as {{train: [english]}}.")
    kinds = [kind for kind in _KEYS if kind in entry]
    if len(kinds) != 1:
        raise FeatrackError(
            f"{where} must say one of train, merge and load, and says "
            f"{' and '.join(kinds) or 'none'}."
        )
    kind = kinds[0]
    for key in entry:
        if key not in _KEYS[kind]:
            near = _nearest(key, _KEYS[kind])
            raise FeatrackError(f"{where} has no key {key}; the nearest known one is {near}.")
    for key, kinds, wanted in (
        ("load", str, "a folder or a name on the hub"),
        ("revision", (str, int), "a branch, tag or commit"),
    ):
        if key in entry and (not isinstance(entry[key], kinds) or not str(entry[key]).strip()):
            raise FeatrackError(f"{where}.{key} is {entry[key]!r}; write {wanted}.")
    several = not isinstance(entry.get("parent") or "", str)
    lists = {"train", "merge", "reads", *["parent"] * several}
    for key in (key for key in entry if key in lists):
        names = entry[key]
        listed = isinstance(names, list | tuple) and all(isinstance(n, str) for n in names)
        if not listed or not names or len({*names}) < len(names):
            wanted = "name a model" if key == "parent" else "list names in brackets, each once"
            raise FeatrackError(f"{where}.{key} is {names!r}; {wanted}.")
    if several and kind != "load":
        raise FeatrackError(
            f"{where} is trained and has several parents; name one, or load a merge of them."
        )
    if kind != "merge":
        return entry
    method = entry.get("method", "slerp")
    if method not in MERGE_METHODS:
        raise FeatrackError(
            f"{where}.method is {method!r}; choose one of {', '.join(MERGE_METHODS)}."
        )
    if len(entry["merge"]) < 2 or (method == "slerp" and len(entry["merge"]) > 2):
        wanted = "two" if method == "slerp" else "two or more"
        raise FeatrackError(
            f"{where} merges {len(entry['merge'])} models by {method}, which takes {wanted}."
        )
    if "t" in entry and method != "slerp":
        raise FeatrackError(
            f"{where} has a t, which {method} doesn't use; leave it out, or merge two models by "
            "slerp."
        )
    t = entry.get("t", "balanced")
    if t != "balanced" and not (type(t) in (int, float) and 0 <= t <= 1):
        raise FeatrackError(f"{where}.t is {t!r}; write balanced or a number from 0 to 1.")
    return entry
