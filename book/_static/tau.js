/* A threshold that the reader moves, on a page without a kernel: shares at precomputed thresholds.
   Its numbers stand in the page, in `data-curves` of each `.featrack-tau`; without a script the
   words inside stay. Text enters as text nodes, and places as CSS variables. */
"use strict";
(() => {
  const DASH = "–";
  const percent = (share) =>
    share === null ? DASH : `${Math.round(100 * share).toString().replace("-", "−")}\u00a0%`;
  const bounded = ([value, low, high]) =>
    value === null || low === null || high === null
      ? percent(value)
      : `${percent(value)} [${percent(low).slice(0, -2)}, ${percent(high).slice(0, -2)}]`;

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("--")) made.style.setProperty(name, value);
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  /* One pair: its name, a bar from 0 to 1 with the marks, and the four numbers. */
  function row(pair) {
    const marks = ["between", "floor", "ceiling", "bounds", "share"].map((name) =>
      element("span", { class: `featrack-tau-${name}` })
    );
    const bar = element(
      "div",
      { class: "featrack-tau-bar", "aria-hidden": "true", "--model": pair.colour },
      ...marks
    );
    const cells = ["floor", "share", "ceiling", "rescaled"].map((name) => [name, element("dd")]);
    const numbers = element(
      "dl",
      {},
      ...cells.map(([name, cell]) => element("div", {}, element("dt", {}, name), cell))
    );
    const view = element(
      "div",
      { class: "featrack-tau-pair", role: "group", "aria-label": pair.name },
      element("p", {}, pair.name),
      bar,
      numbers
    );
    const place = (mark, from, to) => {
      const known = from !== null && to !== null;
      mark.hidden = !known;
      if (!known) return;
      const clipped = (share) => Math.min(1, Math.max(0, share));
      mark.style.setProperty("--from", `${100 * clipped(from)}%`);
      mark.style.setProperty("--wide", `${100 * (clipped(to) - clipped(from))}%`);
    };
    const show = (at) => {
      const [floor, share, ceiling] = ["floor", "share", "ceiling"].map((name) => pair[name][at]);
      place(marks[0], floor[0] ?? 0, ceiling[0]);
      place(marks[1], floor[0], floor[0]);
      place(marks[2], ceiling[0], ceiling[0]);
      place(marks[3], share[1], share[2]);
      place(marks[4], share[0], share[0]);
      for (const [name, cell] of cells) cell.textContent = bounded(pair[name][at]);
    };
    return { view, show };
  }

  let made = 0;
  function start(root) {
    const { taus, tau, pairs } = JSON.parse(root.dataset.curves);
    const id = `featrack-tau-${made++}`;
    const slider = element("input", {
      type: "range", id, min: 0, max: taus.length - 1, step: 1,
      value: Math.max(0, taus.indexOf(tau)),
    });
    const said = element("output", { for: id });
    const rows = pairs.map(row);
    const show = () => {
      const at = Number(slider.value);
      const words = taus[at].toFixed(2);
      slider.setAttribute("aria-valuetext", `τ = ${words}`);
      said.textContent = words + (taus[at] === tau ? ", as elsewhere" : "");
      for (const one of rows) one.show(at);
    };
    slider.addEventListener("input", show);
    root.replaceChildren(
      element(
        "div",
        { class: "featrack-tau-control" },
        element("label", { for: id }, "Threshold τ"),
        slider,
        said
      ),
      ...rows.map(({ view }) => view)
    );
    show();
  }

  const all = () => document.querySelectorAll(".featrack-tau").forEach(start);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", all);
  else all();
})();
