/* The list: one page of rows, drawn anew for every state, walked with the arrow keys. */
"use strict";
(() => {
  const explorer = (window.featrackExplorer = window.featrackExplorer || {});
  const { el } = explorer;
  const PAGE = 25; // rows; twice as many take twice as long to lay out, at every key
  const COLUMNS = [
    { title: "Feature", sort: "number" },
    { title: "Fires on", hint: "The tokens that take most of its activation, and its explanation" },
    { title: "Domains", hint: "How dense it is in each domain, its densest full" },
    { title: "Density", sort: "density", hint: "Share of the tokens on which it is active" },
    { title: "Peak", sort: "peak", hint: "Its strongest activation" },
    { title: "Matches", hint: "r with its best partner in each other model, and the threshold" },
    { title: "Best r", sort: "r", hint: "The largest of these" },
    { title: "Score", sort: "score", hint: "How well its explanation predicts it (simulation r)" },
  ];

  /* Builds the table; `change` takes the changed part of the list's state. */
  explorer.list = (data, change) => {
    const status = el("p", { role: "status", class: "fx-status" });
    const heads = COLUMNS.map((column) => head(column, change));
    const body = el("tbody", { role: "rowgroup" });
    const table = el(
      "table",
      { class: "fx-list", role: "table", "aria-label": "Features" },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)),
      body
    );
    const pages = el("nav", { "aria-label": "Pages of the list", class: "fx-pages" });
    const legend = el(
      "p",
      { class: "fx-hint fx-legendline" },
      `Domains, left to right: ${data.meta.domains.map(explorer.capital).join(", ")}. `,
      `Matches: ${data.models.map(({ label }) => label).join(", ")}; `,
      `the dot is the feature’s own model, colour means r > ${data.meta.tau}. `,
      keys([["/", "search"], ["j k ↑ ↓", "move"], ["Enter", "open"], ["c", "copies"], ["Esc", "back"]])
    );
    const view = el("div", {}, status, table, pages, legend);
    let shown = { state: explorer.EMPTY, page: 1, count: 1 };

    /* Shows a state and what `explorer.select` found for it. */
    function show(state, { ids, rows: all, copies }) {
      const count = Math.max(1, Math.ceil(all.length / PAGE));
      const page = Math.min(state.page, count);
      const first = (page - 1) * PAGE;
      shown = { state, page, count };
      let leader = null;
      const rows = Array.from(all.slice(0, first + PAGE), (id, i) => {
        const below = leader !== null && data.group[id] >= 0 && data.group[id] === data.group[leader];
        if (!below) leader = id;
        if (i < first) return null;
        return row(data, id, i, below ? below : fold(id, copies.get(id), state.open));
      });
      body.replaceChildren(...rows.slice(first));
      const { sort, order } = explorer.sorting(state);
      heads.forEach((th, i) => mark(th, COLUMNS[i], sort, order));
      table.setAttribute("aria-rowcount", all.length + 1);
      table.hidden = !ids.length;
      legend.hidden = !ids.length;
      const folded = all.length < ids.length ? ` in ${explorer.count(all.length)} rows` : "";
      const found = `${explorer.count(ids.length)} of ${explorer.count(data.total)} features`;
      status.textContent = ids.length
        ? `${found}${folded}, sorted by ${explorer.SORTS[sort].label}`
        : "No feature fits. Loosen a filter, or search for another token.";
      pages.replaceChildren(...(count > 1 ? pager(page, count, change) : []));
      rove(links()[0]);
    }

    /* The button that shows or hides a row's copies; nothing where there are none. */
    function fold(id, copies, open) {
      if (!copies) return "";
      const name = explorer.hashOf(data, id).slice(1);
      const opened = open.includes(name);
      const words = `${copies} ${copies > 1 ? "copies" : "copy"}`;
      return el(
        "button",
        {
          type: "button", class: "fx-copies", "aria-expanded": String(opened), "data-fold": id,
          title: `Features of the same dictionary with r > ${data.meta.tau}`,
          click: () => turn(id, name),
        },
        `${opened ? "−" : "+"} ${words}`
      );
    }

    function turn(id, name) {
      const { open } = shown.state;
      const held = open.includes(name);
      change({ open: held ? open.filter((one) => one !== name) : [...open, name] }, true);
      body.querySelector(`[data-fold="${id}"]`)?.focus();
    }

    const links = () => [...body.querySelectorAll(".fx-name")];

    /* One link of the table takes part in tabbing; the arrow keys change which. */
    function rove(link) {
      for (const other of body.querySelectorAll(".fx-name, .fx-copies")) other.tabIndex = -1;
      if (!link) return;
      const own = link.closest("tr").querySelectorAll(".fx-name, .fx-copies");
      for (const other of own) other.tabIndex = 0;
    }

    function focus(link) {
      rove(link);
      link?.focus();
      link?.scrollIntoView({ block: "nearest", behavior: "instant" });
    }

    /* Moves the focus by rows, over the edge of a page if need be. */
    function move(step) {
      const all = links();
      const here = all.indexOf(document.activeElement);
      const next = here < 0 ? (step > 0 ? 0 : all.length - 1) : here + step;
      if (all[next]) return focus(all[next]);
      const page = shown.page + Math.sign(step);
      if (page < 1 || page > shown.count) return undefined;
      change({ page }, true);
      return focus(step > 0 ? links()[0] : links().at(-1));
    }

    view.addEventListener("focusin", ({ target }) => {
      if (target.matches(".fx-name")) rove(target);
    });
    return {
      view, show, move,
      focusOn: (id) => {
        const link = links().find((one) => one.dataset.id === String(id));
        if (link) focus(link);
      },
      fold: () => {
        const button = document.activeElement.closest("tr")?.querySelector(".fx-copies");
        const { id } = button?.closest("tr").querySelector(".fx-name").dataset ?? {};
        button?.click();
        if (id) focus(links().find((link) => link.dataset.id === id));
      },
      edge: (end) => focus(end ? links().at(-1) : links()[0]),
    };
  };

  function keys(pairs) {
    const words = pairs.flatMap(([names, action]) => [
      ...names.split(" ").flatMap((name) => [el("kbd", {}, name), " "]),
      `${action} `,
    ]);
    return el("span", { class: "fx-keys" }, "Keys: ", ...words);
  }

  function head({ sort, title, hint = null }, change) {
    const th = el("th", { role: "columnheader", scope: "col", title: hint });
    if (!sort) {
      th.append(title);
      return th;
    }
    const turn = () => {
      const { order } = explorer.SORTS[sort];
      const other = order === "asc" ? "desc" : "asc";
      const now = th.getAttribute("aria-sort");
      const usual = now !== (order === "asc" ? "ascending" : "descending");
      change({ sort, order: usual ? "" : other, page: 1 });
    };
    th.append(el("button", { type: "button", click: turn }, title));
    if (sort !== "number") th.className = "fx-number";
    return th;
  }

  function mark(th, column, sort, order) {
    const direction = order === "asc" ? "ascending" : "descending";
    if (column.sort === sort) th.setAttribute("aria-sort", direction);
    else th.removeAttribute("aria-sort");
  }

  /* A row; `folded` is the button of its copies, or true if it is itself a copy of the row above. */
  function row(data, id, place, folded) {
    const text = explorer.part(data, id, "text");
    const cell = (name, ...children) => el("td", { role: "cell", class: name }, ...children);
    const percent = el("span", { class: "fx-unit" }, "\u00a0%");
    return el(
      "tr",
      { role: "row", "aria-rowindex": place + 2, class: folded === true ? "fx-copy" : null },
      el(
        "th",
        { role: "rowheader", scope: "row", class: "fx-who" },
        explorer.featureLink(data, id, { "data-id": id }),
        el("span", { class: "fx-class" }, explorer.kind(data, id), folded === true ? ", a copy" : ""),
        explorer.reproducibleSign(data, id),
        folded === true ? "" : folded
      ),
      cell(
        "fx-what",
        explorer.chips(data, explorer.part(data, id, "top")),
        text ? el("span", { class: "fx-text" }, explorer.prose(text)) : ""
      ),
      cell("fx-spark", explorer.domainSpark(data, id)),
      cell("fx-number fx-density", explorer.fixed(100 * data.density[id], 3), percent),
      cell("fx-number fx-peak", explorer.fixed(data.peak[id], data.peakDigits)),
      cell("fx-strip", explorer.matchStrip(data, id)),
      cell("fx-number fx-r", explorer.fixed(data.r[id], 2)),
      cell("fx-number fx-score", explorer.fixed(data.score[id], 2))
    );
  }

  /* First, last, and what lies around the page shown. */
  function pager(page, count, change) {
    const around = [page - 1, page, page + 1].filter((p) => p > 1 && p < count);
    const wanted = [1, ...around, count];
    const button = (label, target, words, current = false) =>
      el(
        "button",
        {
          type: "button", "aria-label": words, "aria-current": current ? "page" : null,
          disabled: target < 1 || target > count, click: () => change({ page: target }),
        },
        label
      );
    const numbers = wanted.flatMap((p, i) => [
      i && p > wanted[i - 1] + 1 ? el("span", { "aria-hidden": "true" }, "…") : "",
      button(explorer.count(p), p, `Page ${p}`, p === page),
    ]);
    const before = button("←", page - 1, "Previous page");
    return [before, ...numbers, button("→", page + 1, "Next page")];
  }
})();
