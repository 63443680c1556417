/* A threshold that the reader moves, on a page without a kernel: shares and the flow diagram at
   precomputed thresholds. They stand in the page, in `data-curves` of each `.featrack-tau`; without
   a script the words inside stay, and the figure. Text enters as text nodes, and places as CSS
   variables or attributes of SVG. */
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
    const told = ["floor", "share", "ceiling", "rescaled", "ratio"].filter((name) => name in pair);
    const cells = told.map((name) => [name, element("dd")]);
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
      const [floor, share, ceiling] = ["floor", "share", "ceiling"].map(
        (name) => pair[name]?.[at] ?? [null, null, null]
      );
      place(marks[0], floor[0] ?? 0, ceiling[0]);
      place(marks[1], floor[0], floor[0]);
      place(marks[2], ceiling[0], ceiling[0]);
      place(marks[3], share[1], share[2]);
      place(marks[4], share[0], share[0]);
      for (const [name, cell] of cells) cell.textContent = bounded(pair[name][at]);
    };
    return { view, show };
  }

  const SVG = "http://www.w3.org/2000/svg";
  function shape(tag, attributes, ...children) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /* The flow diagram as display/flow_figure.py draws it, in points; it takes its figure's place. */
  const [WIDE, HIGH] = [360, 389];
  let drawn = 0;
  function diagram({ figure, node, frames }) {
    const still = figure && document.querySelector(`#${CSS.escape(figure)} img`);
    const name = still ? still.alt : "Flow diagram of features from model to model";
    const view = shape("svg", {
      class: "featrack-tau-flow", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img",
    });
    const hatches = shape("defs", {});
    const patterns = new Map();
    const body = shape("g", {});
    view.append(hatches, body);

    /* A paint for a colour: plain, or hatched on a paler ground. */
    function paint(colour, hatched) {
      if (!hatched) return colour;
      if (!patterns.has(colour)) {
        const id = `featrack-flow-${drawn++}`;
        const size = { width: 4, height: 4 };
        hatches.append(
          shape(
            "pattern",
            { id, ...size, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
            shape("rect", { ...size, fill: colour, "fill-opacity": 0.35 }),
            shape("rect", { width: 1, height: 4, fill: colour })
          )
        );
        patterns.set(colour, `url(#${id})`);
      }
      return patterns.get(colour);
    }

    const show = (at, words) => {
      const [bands, boxes, labels, right] = frames[at];
      const x = (place) => (WIDE * (place + 0.03)) / (right + 0.03);
      const y = (place) => (HIGH * (place + 0.01)) / 1.02;
      const curve = (a, b, from, to) =>
        `${x((2 * a + b) / 3)} ${y(from)} ${x((a + 2 * b) / 3)} ${y(to)} ${x(b)} ${y(to)}`;
      body.replaceChildren(
        ...bands.map(([colour, hatched, a, b, [top, bottom], [newTop, newBottom]]) =>
          shape("path", {
            d:
              `M${x(a)} ${y(top)}C${curve(a, b, top, newTop)}` +
              `L${x(b)} ${y(newBottom)}C${curve(b, a, newBottom, bottom)}Z`,
            fill: paint(colour, hatched),
            opacity: 0.38,
          })
        ),
        ...boxes.map(([colour, hatched, left, top, bottom]) =>
          shape("rect", {
            x: x(left), y: y(top), width: x(left + node) - x(left), height: y(bottom) - y(top),
            fill: paint(colour, hatched),
          })
        ),
        ...labels.map(([text, left, middle, side, ink]) =>
          shape(
            "text",
            {
              x: x(left), y: y(middle), fill: ink, "text-anchor": side === "right" ? "end" : "start",
              "dominant-baseline": "central",
            },
            text
          )
        )
      );
      view.setAttribute("aria-label", `${name}, at τ = ${words}: ${labels.map(([text]) => text).join(", ")}`);
    };
    if (still) still.replaceWith(view);
    return { view, show, apart: !still };
  }

  let made = 0;
  function start(root) {
    const { taus, tau, pairs = [], flow } = JSON.parse(root.dataset.curves);
    const id = `featrack-tau-${made++}`;
    const slider = element("input", {
      type: "range", id, min: 0, max: taus.length - 1, step: 1,
      value: Math.max(0, taus.indexOf(tau)),
    });
    const said = element("output", { for: id });
    const rows = pairs.map(row);
    const picture = flow && diagram(flow);
    const show = () => {
      const at = Number(slider.value);
      const words = taus[at].toFixed(2);
      slider.setAttribute("aria-valuetext", `τ = ${words}`);
      said.textContent = words + (taus[at] === tau ? ", as elsewhere" : "");
      for (const one of rows) one.show(at);
      if (picture) picture.show(at, words);
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
      ...(picture?.apart ? [picture.view] : []),
      ...rows.map(({ view }) => view)
    );
    show();
  }

  const all = () => document.querySelectorAll(".featrack-tau").forEach(start);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", all);
  else all();
})();
