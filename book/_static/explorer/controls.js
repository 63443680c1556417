/* The search form: one field, filters with counts, two ranges over histograms, the order. */
"use strict";
(() => {
  const explorer = (window.featrackExplorer = window.featrackExplorer || {});
  const { el } = explorer;
  // The stops of the two ranges; the first and the last mean "no bound".
  const STOPS = {
    density: [0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100],
    r: Array.from({ length: 21 }, (_, i) => i / 20),
  };
  const WORDS = {
    density: { title: "Density", unit: "\u00a0%" },
    r: { title: "Best r", unit: "" },
  };

  /* Builds the form; `change(part, quiet)` is called with the changed part of the list's state. */
  explorer.controls = (data, change) => {
    const { meta, models } = data;
    const search = el("input", {
      type: "search", id: "fx-q", placeholder: `return, "=", ${models.at(-1).key} 12 …`, autocomplete: "off",
      spellcheck: "false", "aria-describedby": "fx-hint", "aria-keyshortcuts": "/",
      input: () => change({ q: search.value, page: 1 }, true),
    });
    const named = models.map(({ key, label }, m) => [key, label, explorer.modelSign(data, m)]);
    const model = choices("model", "Model", named, change);
    const cls = choices("class", "Class", meta.classes.map((name) => [name, name]), change);
    const domains = meta.domains.map((name) => [name, explorer.capital(name)]);
    const domain = select("fx-domain", [["", "any domain"], ...domains], (value) =>
      change({ domain: value, page: 1 })
    );
    const universal = el("input", {
      type: "checkbox",
      change: () => change({ universal: universal.checked, page: 1 }),
    });
    const universalCount = el("span", { class: "fx-tally" });
    const reproducible = el("input", {
      type: "checkbox",
      change: () => change({ reproducible: reproducible.checked, page: 1 }),
    });
    const reproducibleCount = el("span", { class: "fx-tally" });
    const ranges = { density: range("density", change), r: range("r", change) };
    const sorts = Object.entries(explorer.SORTS).map(([key, { label }]) => [key, label]);
    const sort = select("fx-sort", sorts, (value) => change({ sort: value, order: "", page: 1 }));
    const clear = () => change({ ...explorer.EMPTY });
    const reset = el("button", { type: "button", class: "fx-plain", click: clear }, "Clear all");
    const active = el("span", { class: "fx-tally" });
    const filters = el(
      "details",
      { class: "fx-filters", open: window.matchMedia("(min-width: 700px)").matches },
      el("summary", {}, "Filters ", active),
      el(
        "div",
        { class: "fx-groups" },
        model.group,
        cls.group,
        el(
          "div",
          { class: "fx-group" },
          el("label", { for: "fx-domain", class: "fx-legend" }, "Fires mainly in"),
          domain,
          el(
            "label",
            { class: "fx-choice fx-apart" },
            universal,
            el("span", {}, "universal: a chain through all models"),
            universalCount
          ),
          el(
            "label",
            { class: "fx-choice", hidden: !data.judged },
            reproducible,
            el("span", {}, "reproducible: other dictionaries of its own model have it"),
            reproducibleCount
          )
        ),
        ranges.density.group,
        ranges.r.group
      )
    );
    const form = el(
      "form",
      {
        role: "search", "aria-label": "Features", class: "fx-form",
        submit: (event) => event.preventDefault(),
      },
      el(
        "div",
        { class: "fx-first" },
        el("label", { for: "fx-q", class: "fx-unseen" }, "Token, explanation or number"),
        search,
        el("span", { class: "fx-sort" }, el("label", { for: "fx-sort" }, "Sort by"), sort),
        reset
      ),
      el(
        "p",
        { id: "fx-hint", class: "fx-hint" },
        "Search tokens and explanations. A token in quotes is taken exactly; ",
        el("code", { class: "fx-chip" }, "\\n"),
        " is a line break."
      ),
      filters
    );

    /* Shows a state and what `explorer.select` counted for it. */
    function show(state, { counts, others }) {
      if (search.value !== state.q) search.value = state.q;
      model.show(state.model, counts.model);
      cls.show(state.class, counts.class);
      domain.value = state.domain;
      [...domain.options].slice(1).forEach((option, d) => {
        option.textContent = `${domains[d][1]} (${explorer.count(counts.domain[d])})`;
      });
      universal.checked = state.universal;
      universalCount.textContent = explorer.count(counts.universal);
      reproducible.checked = state.reproducible;
      reproducibleCount.textContent = explorer.count(counts.reproducible);
      const percent = (id) => 100 * data.density[id];
      ranges.density.show(state.density, others.density.map(percent));
      ranges.r.show(state.r, others.r.map((id) => data.r[id]));
      sort.value = explorer.sorting(state).sort;
      const on = [state.model.length, state.class.length, state.domain];
      on.push(state.universal, state.reproducible);
      const bounds = [...state.density, ...state.r].filter((bound) => bound !== null);
      const set = on.filter(Boolean).length + Math.min(2, bounds.length);
      active.textContent = set ? `${set} on` : "";
      reset.hidden = !set && !state.q && !state.sort && !state.order;
    }
    return { form, search, show };
  };

  /* A group of checkboxes, none of them ticked meaning all: [value, label, sign] each. */
  function choices(name, legend, options, change) {
    const boxes = options.map(([value]) => el("input", { type: "checkbox", name, value }));
    const tallies = options.map(() => el("span", { class: "fx-tally" }));
    const ticked = () => boxes.filter((box) => box.checked).map((box) => box.value);
    const group = el(
      "fieldset",
      { class: "fx-group", change: () => change({ [name]: ticked(), page: 1 }) },
      el("legend", { class: "fx-legend" }, legend),
      ...options.map(([, label, sign], i) =>
        el("label", { class: "fx-choice" }, boxes[i], el("span", {}, sign || "", label), tallies[i])
      )
    );
    const show = (values, counts) =>
      boxes.forEach((box, i) => {
        box.checked = values.includes(box.value);
        tallies[i].textContent = explorer.count(counts[i]);
      });
    return { group, show };
  }

  function select(id, options, chosen) {
    const element = el("select", { id, change: () => chosen(element.value) });
    element.append(...options.map(([value, label]) => el("option", { value }, label)));
    return element;
  }

  /* Two thumbs over a histogram of what the other filters let through. */
  function range(name, change) {
    const stops = STOPS[name];
    const last = stops.length - 1;
    const { title, unit } = WORDS[name];
    const thumb = (side, words) =>
      el("input", {
        type: "range", min: 0, max: last, step: 1, "aria-label": `${title}, ${words}`,
        input: () => moved(side, true),
        change: () => moved(side, false),
      });
    const thumbs = [thumb(0, "at least"), thumb(1, "at most")];
    const bars = stops.slice(1).map(() => el("span"));
    const said = el("span", { class: "fx-said" });
    let bounds = [null, null];

    function moved(side, quiet) {
      const place = Number(thumbs[side].value);
      bounds = [...bounds];
      bounds[side] = place === (side ? last : 0) ? null : stops[place];
      const crossed = bounds[0] !== null && bounds[1] !== null && bounds[0] > bounds[1];
      if (crossed) bounds[1 - side] = bounds[side];
      change({ [name]: bounds, page: 1 }, quiet);
    }

    function show(given, values) {
      bounds = given;
      const places = given.map((bound, side) => nearest(stops, bound ?? stops[side * last]));
      thumbs.forEach((input, side) => {
        const value = given[side] === null ? "any" : `${given[side]}${unit}`;
        input.value = places[side];
        input.setAttribute("aria-valuetext", value);
      });
      said.textContent = spoken(given, unit);
      const counts = new Array(last).fill(0);
      for (const value of values) {
        if (Number.isNaN(value)) continue;
        const above = stops.findIndex((stop) => stop > value);
        counts[above < 0 ? last - 1 : Math.max(0, above - 1)] += 1;
      }
      const most = Math.max(...counts, 1);
      bars.forEach((bar, i) => {
        bar.style.setProperty("--share", `${100 * Math.sqrt(counts[i] / most)}%`);
        bar.className = i >= places[0] && i < Math.max(places[1], places[0] + 1) ? "fx-in" : "";
      });
    }

    const group = el(
      "div",
      { class: "fx-group fx-range", role: "group", "aria-label": title },
      el("span", { class: "fx-legend" }, title, said),
      el("div", { class: "fx-bins", "aria-hidden": "true" }, ...bars),
      el("div", { class: "fx-thumbs" }, ...thumbs)
    );
    return { group, show };
  }

  function nearest(stops, value) {
    const far = (place) => Math.abs(stops[place] - value);
    return stops.reduce((best, _, place) => (far(place) < far(best) ? place : best), 0);
  }

  function spoken([low, high], unit) {
    if (low === null && high === null) return "any";
    if (high === null) return `≥ ${low}${unit}`;
    if (low === null) return `≤ ${high}${unit}`;
    return `${low}–${high}${unit}`;
  }
})();
