/* What is shown, as a link: `#<model>-123` for a feature, `#?q=…&model=<model>` for a list. */
"use strict";
(() => {
  const explorer = (window.featrackExplorer = window.featrackExplorer || {});
  const SAID = 60; // characters of a wrong link that are repeated

  /* Sort keys with their usual direction; the first one is used where nothing is searched for. */
  explorer.SORTS = {
    r: { label: "best r", order: "desc" },
    relevance: { label: "relevance", order: "desc" },
    number: { label: "number", order: "asc" },
    own: { label: "r to the own other seed", order: "desc" },
    density: { label: "density", order: "desc" },
    peak: { label: "peak", order: "desc" },
    score: { label: "score", order: "desc" },
  };
  explorer.EMPTY = {
    q: "", model: [], class: [], domain: "", universal: false, reproducible: false,
    density: [null, null], r: [null, null], // per cent of tokens; correlation
    sort: "", order: "", page: 1,
    open: [], // rows whose copies are shown, by their features' names in links
  };

  /* The order in force, chosen or usual. */
  explorer.sorting = (state) => {
    const sort = state.sort || (state.q.trim() ? "relevance" : "r");
    return { sort, order: state.order || explorer.SORTS[sort].order };
  };

  explorer.listHash = (state) => {
    const parts = new URLSearchParams();
    if (state.q) parts.set("q", state.q);
    for (const name of ["model", "class"]) {
      if (state[name].length) parts.set(name, state[name].join());
    }
    if (state.domain) parts.set("domain", state.domain);
    for (const name of ["universal", "reproducible"]) if (state[name]) parts.set(name, "1");
    for (const name of ["density", "r"]) {
      const [low, high] = state[name];
      if (low !== null || high !== null) parts.set(name, `${low ?? ""}..${high ?? ""}`);
    }
    if (state.sort) parts.set("sort", state.sort);
    if (state.order) parts.set("order", state.order);
    if (state.page > 1) parts.set("page", state.page);
    if (state.open.length) parts.set("open", state.open.join());
    return `#?${parts.toString().replaceAll("%2C", ",")}`;
  };

  /* The view a hash stands for: {list}, {feature}, {trouble} in a sentence, or {elsewhere}. */
  explorer.parseHash = (data, hash) => {
    if (hash === "" || hash === "#") return { list: { ...explorer.EMPTY }, notes: [] };
    if (hash.startsWith("#?")) return parsedList(data, new URLSearchParams(hash.slice(2)));
    const name = decoded(hash.slice(1));
    const { feature, model, number } = named(data, name);
    if (model >= 0) {
      if (number < data.size) return { feature: model * data.size + number };
      const { label } = data.models[model];
      const last = explorer.count(data.size - 1);
      return { trouble: `${label} has no feature ${feature[2]}: it has those from 0 to ${last}.` };
    }
    if (document.getElementById(name)) return { elsewhere: true };
    const keys = data.models.map(({ key }) => `${key}-0`).join(", ");
    const said = explorer.signs(name.slice(0, SAID));
    return { trouble: `“${said}” is no feature: links look like ${keys}.` };
  };

  /* What “lua-123” names: {feature: its parts, model: −1 if there is none of it, number}. */
  function named(data, name) {
    const feature = /^(.+)-(\d+)$/.exec(name);
    return {
      feature, model: explorer.modelNamed(data, feature?.[1]), number: Number(feature?.[2]),
    };
  }

  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  function parsedList(data, parts) {
    const list = { ...explorer.EMPTY };
    const notes = [];
    const known = {
      model: data.models.map(({ key }) => key),
      class: data.meta.classes,
      domain: data.meta.domains,
      sort: Object.keys(explorer.SORTS),
      order: ["asc", "desc"],
      universal: ["1"],
      reproducible: ["1"],
    };
    for (const [name, value] of parts) {
      if (name === "q") {
        list.q = value;
      } else if (name in known) {
        const values = name === "model" || name === "class" ? value.split(",") : [value];
        const good = values.filter((one) => known[name].includes(one));
        if (good.length < values.length) notes.push(`${name}=${value}`);
        if (Array.isArray(list[name])) list[name] = good;
        else if (good.length) list[name] = typeof list[name] === "boolean" ? true : good[0];
      } else if (name === "density" || name === "r") {
        const range = /^(-?[\d.]*)\.\.(-?[\d.]*)$/.exec(value);
        const bounds = range?.slice(1).map((one) => (one === "" ? null : Number(one)));
        if (!bounds || bounds.some(Number.isNaN)) notes.push(`${name}=${value}`);
        else list[name] = bounds;
      } else if (name === "open") {
        list.open = value.split(",").filter((one) => {
          const { model, number } = named(data, one);
          return model >= 0 && number < data.size;
        });
      } else if (name === "page" && Number(value) >= 1) {
        list.page = Math.floor(Number(value));
      } else {
        notes.push(`${name}=${value}`);
      }
    }
    return { list, notes: notes.map((note) => explorer.signs(note.slice(0, SAID))) };
  }
})();
