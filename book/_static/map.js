/* The map of features to move over: a canvas for each .featrack-map, which holds its data as
   attributes. Whatever is shown of them is set as text, never as markup. */
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const SIDE = 1000; // places are whole numbers from 0 to this
  const REACH = 24; // CSS pixels around the pointer in which a point is found
  const HELP =
    "Move over the points, or use the arrow keys to go from point to point. Enter or a click opens " +
    "a feature in the explorer.";
  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function el(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /* One point a line: model, number, x, y, kind; then its strongest tokens, one a line. */
  function read(data) {
    const words = data.words.split("\n");
    return data.points.split(";").map((line, i) => {
      const [model, feature, x, y, kind] = line.split(",").map(Number);
      return { model, feature, x, y, kind, words: words[i] };
    });
  }

  function choice(name, options, change) {
    const select = el("select", {});
    for (const [value, text] of options) select.append(el("option", { value }, text));
    select.addEventListener("change", change);
    return [el("label", {}, `${name} `, select), select];
  }

  function start(root) {
    const points = read(root.dataset);
    const [models, colours, kinds] = ["models", "colours", "kinds"].map((name) =>
      root.dataset[name].split(",")
    );
    const labels = root.dataset.labels.split(",");
    const canvas = el("canvas", { tabindex: 0, role: "img", "aria-label": `Map of features. ${HELP}` });
    const said = el("p", { class: "featrack-map-said", "aria-live": "polite" }, HELP);
    const all = (names) => [["", "all"], ...names.map((name, i) => [String(i), name])];
    const [ofModel, model] = choice("Model", all(labels), draw);
    const [ofKind, kind] = choice("What became of it", all(kinds), draw);
    root.append(el("div", { class: "featrack-map-choices" }, ofModel, ofKind), canvas, said);
    root.hidden = false;
    let chosen = null;

    const shown = (p) =>
      (model.value === "" || p.model === Number(model.value)) &&
      (kind.value === "" || p.kind === Number(kind.value));
    const scale = () => canvas.clientWidth / SIDE;

    function draw() {
      const ratio = window.devicePixelRatio || 1;
      const size = Math.round(canvas.clientWidth * ratio);
      if (canvas.width !== size) canvas.width = canvas.height = size;
      const pen = canvas.getContext("2d");
      pen.setTransform(size / SIDE, 0, 0, size / SIDE, 0, 0);
      pen.clearRect(0, 0, SIDE, SIDE);
      const radius = 1.3 / scale();
      const dot = (p, r) => {
        pen.beginPath();
        pen.arc(p.x, p.y, r, 0, 2 * Math.PI);
      };
      const style = getComputedStyle(canvas);
      for (const lit of [false, true]) {
        for (const p of points) {
          if (shown(p) !== lit) continue;
          pen.fillStyle = lit ? colours[p.model] : style.getPropertyValue("--pale");
          dot(p, radius);
          pen.fill();
        }
      }
      if (chosen && !shown(chosen)) chosen = null;
      if (chosen) {
        pen.strokeStyle = style.color;
        pen.lineWidth = 2 / scale();
        dot(chosen, 6 / scale());
        pen.stroke();
      }
    }

    const address = (p) => `explorer.html#${models[p.model]}-${p.feature}`;

    function choose(p) {
      if (!p || p === chosen) return;
      chosen = p;
      const link = el("a", { href: address(p) }, `${labels[p.model]} ${p.feature}`);
      said.replaceChildren(link, `, ${kinds[p.kind]}: ${p.words || "never active"}`);
      draw();
    }

    function nearest(x, y, among, most) {
      let best = null;
      for (const p of points) {
        if (!shown(p) || p === chosen || !among(p)) continue;
        const away = (p.x - x) ** 2 + (p.y - y) ** 2;
        if (away <= most) [best, most] = [p, away];
      }
      return best;
    }

    function under(event) {
      const box = canvas.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / scale(), (event.clientY - box.top) / scale()];
      const found = nearest(x, y, () => true, (REACH / scale()) ** 2);
      const now = chosen && shown(chosen) ? (chosen.x - x) ** 2 + (chosen.y - y) ** 2 : Infinity;
      return found && (found.x - x) ** 2 + (found.y - y) ** 2 < now ? found : null;
    }

    canvas.addEventListener("pointermove", (event) => choose(under(event)));
    canvas.addEventListener("pointerdown", (event) => choose(under(event)));
    canvas.addEventListener("click", (event) => {
      // A finger chooses; the link below the map opens.
      if (event.pointerType !== "touch" && chosen) location.href = address(chosen);
    });
    canvas.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (event.key === "Enter" && chosen) location.href = address(chosen);
      if (!step) return;
      event.preventDefault();
      event.stopPropagation(); // the theme turns pages by arrow keys
      const from = chosen || { x: SIDE / 2, y: SIDE / 2 };
      const [dx, dy] = step;
      const ahead = (p) => {
        const along = (p.x - from.x) * dx + (p.y - from.y) * dy;
        const across = Math.abs((p.x - from.x) * dy) + Math.abs((p.y - from.y) * dx);
        return !chosen || (along > 0 && across <= along);
      };
      choose(nearest(from.x, from.y, ahead, Infinity));
    });
    new ResizeObserver(draw).observe(canvas);
    new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    draw();
  }

  document.querySelectorAll(".featrack-map").forEach(start);
});
