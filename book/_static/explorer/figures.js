/* Small pictures: bars of density, strips of matches, the histogram, the map. Each says in words
   what it shows; colours beyond grey stand for models. */
"use strict";
(() => {
  const explorer = (window.featrackExplorer = window.featrackExplorer || {});
  const { el, svg } = explorer;
  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
  explorer.capital = capital;

  function picture(width, height, words, ...shapes) {
    return svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": words },
      svg("title", {}, words),
      ...shapes
    );
  }

  /* A feature's profile over the domains, its highest bar full: where it fires, not how often. */
  explorer.domainSpark = (data, id) => {
    const densities = explorer.densities(data, id);
    const most = Math.max(...densities);
    const words = data.meta.domains.map(
      (domain, i) => `${capital(domain)} ${explorer.percent(densities[i])}`
    );
    const bars = densities.map((density, i) => {
      const height = most > 0 ? Math.max(1, 20 * (density / most)) : 1;
      const main = most > 0 && density === most;
      const name = main ? "fx-main" : "fx-rest";
      return svg("rect", { class: name, x: 9 * i, y: 22 - height, width: 7, height });
    });
    return picture(34, 22, words.join(", "), ...bars);
  };

  /* r with the best partner in each other model, its own place marked by a dot, τ by a line. */
  explorer.matchStrip = (data, id) => {
    const { tau } = data.meta;
    const line = 22 - 20 * tau;
    const shapes = [svg("line", { class: "fx-tau", x1: 0, x2: 43, y1: line, y2: line })];
    const words = [];
    shapes.push(svg("circle", { class: "fx-self", cx: 4 + 12 * data.model[id], cy: 19, r: 3 }));
    for (const { model, r } of explorer.matches(data, id)) {
      const height = r === null ? 0 : Math.max(1, 20 * r);
      const { label, colour } = data.models[model];
      words.push(`${label} ${r === null ? "not defined" : r.toFixed(2)}`);
      const name = r !== null && r > tau ? "fx-match" : "fx-weak";
      const place = { x: 12 * model, y: 22 - height, width: 8, height };
      if (r !== null) shapes.push(svg("rect", { class: name, "--model": colour, ...place }));
    }
    return picture(44, 22, `r with ${words.join(", ")}`, ...shapes);
  };

  /* A horizontal bar from 0 to 1 in a table's cell; the number stands beside it. */
  explorer.bar = (share, attributes = {}) =>
    el(
      "span",
      { class: "fx-bar", "aria-hidden": "true", ...attributes },
      el("span", { "--share": `${100 * Math.max(0, Math.min(1, share))}%` })
    );

  explorer.domainTable = (data, id) => {
    const densities = explorer.densities(data, id);
    const most = Math.max(...densities);
    const rows = data.meta.domains.map((domain, i) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, capital(domain)),
        el("td", { class: "fx-number" }, explorer.fixed(100 * densities[i], 3), "\u00a0%"),
        el("td", { class: "fx-wide" }, explorer.bar(most > 0 ? densities[i] / most : 0))
      )
    );
    return el("table", { class: "fx-figures" }, el("tbody", {}, ...rows));
  };

  /* Counts of activations from 0 to the peak; bars carry the shades that tokens are given. */
  explorer.histogram = (counts, peak, colour) => {
    const most = Math.max(...counts);
    const words = counts.map(explorer.count).join(", ");
    const step = 24;
    const shapes = counts.flatMap((count, i) => {
      // Most activations are weak: on a linear scale one would see the first bar only.
      const height = count > 0 ? 6 + 78 * (Math.log(count) / Math.log(Math.max(most, 2))) : 0;
      const x = step * i;
      const place = { x: x + 1, y: 100 - height, width: step - 2, height };
      return [
        svg("rect", { class: "fx-count", "--level": (i + 1) / counts.length, ...place }),
        count ? svg("text", { x: x + 12, y: 96 - height, class: "fx-label" }, short(count)) : "",
      ];
    });
    const right = step * counts.length;
    shapes.push(svg("line", { class: "fx-axis", x1: 0, x2: right, y1: 100.5, y2: 100.5 }));
    for (const [x, anchor, value] of [[0, "start", "0"], [right, "end", explorer.digits(peak)]]) {
      shapes.push(svg("text", { x, y: 114, class: `fx-label fx-${anchor}` }, value));
    }
    const said = `Tokens by activation, in ${counts.length} equal steps up to the peak: ${words}`;
    const chart = picture(right, 118, said, ...shapes);
    chart.style.setProperty("--model", colour);
    return chart;
  };

  const short = (count) => (count < 1000 ? String(count) : `${explorer.digits(count / 1000, 2)}k`);

  /* Place of every feature on the map, in a square of side 1; null where the data has none. */
  function places(data) {
    if (data.places === undefined) {
      const points = data.models.flatMap(({ key }) => data.index[key].xy || []);
      const whole = points.length === data.total && points.every(([x]) => x !== null);
      data.places = whole ? scaled(points) : null;
    }
    return data.places;
  }

  function scaled(points) {
    const low = [Infinity, Infinity];
    const high = [-Infinity, -Infinity];
    for (const point of points) {
      for (const axis of [0, 1]) {
        low[axis] = Math.min(low[axis], point[axis]);
        high[axis] = Math.max(high[axis], point[axis]);
      }
    }
    const side = Math.max(high[0] - low[0], high[1] - low[1]) || 1;
    return points.map(([x, y]) => [
      0.5 + (x - (low[0] + high[0]) / 2) / side,
      0.5 - (y - (low[1] + high[1]) / 2) / side,
    ]);
  }

  /* Features nearest on the map, this one left out; empty without a map. */
  explorer.neighbours = (data, id, wanted) => {
    const all = places(data);
    if (!all) return [];
    const [x, y] = all[id];
    return all
      .map(([px, py], other) => [(px - x) ** 2 + (py - y) ** 2, other])
      .filter(([, other]) => other !== id)
      .sort((a, b) => a[0] - b[0] || a[1] - b[1])
      .slice(0, wanted)
      .map(([, other]) => other);
  };

  const SIDE = 300;
  const MARGIN = 10;

  /* The map of all features with this one and its partners marked; a click goes to the nearest. */
  explorer.map = (data, id) => {
    const all = places(data);
    const scale = Math.min(3, window.devicePixelRatio || 1);
    const name = explorer.nameOf(data, id);
    const canvas = el("canvas", {
      width: SIDE * scale, height: SIDE * scale, class: "fx-map", role: "img",
      "aria-label": `${name} on the map of all features; its nearest ones are listed beside it.`,
    });
    const at = ([x, y]) => [MARGIN + x * (SIDE - 2 * MARGIN), MARGIN + y * (SIDE - 2 * MARGIN)];
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * SIDE;
      const y = ((event.clientY - box.top) / box.height) * SIDE;
      const far = (other) => Math.hypot(at(all[other])[0] - x, at(all[other])[1] - y);
      const nearest = all.reduce((best, _, other) => (far(other) < far(best) ? other : best), 0);
      location.hash = explorer.hashOf(data, nearest);
    });
    const draw = canvas.getContext("2d");
    draw.scale(scale, scale);
    // Half transparent, so that crowds show; readable on white and on black.
    draw.globalAlpha = 0.35;
    all.forEach((point, other) => {
      const [x, y] = at(point);
      draw.fillStyle = data.models[data.model[other]].colour;
      draw.fillRect(x - 0.8, y - 0.8, 1.6, 1.6);
    });
    draw.globalAlpha = 1;
    const partners = explorer.matches(data, id).flatMap(({ id: partner }) => partner ?? []);
    for (const marked of [...partners, id]) {
      const [x, y] = at(all[marked]);
      draw.beginPath();
      draw.arc(x, y, marked === id ? 6 : 4, 0, 2 * Math.PI);
      draw.fillStyle = data.models[data.model[marked]].colour;
      draw.fill();
      draw.lineWidth = 2;
      draw.strokeStyle = marked === id ? "#777" : "#fff";
      draw.stroke();
    }
    return canvas;
  };
})();
