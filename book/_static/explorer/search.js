/* Search, filters and order over the features of all models: arrays in, an array of ids out. */
"use strict";
(() => {
  const explorer = (window.featrackExplorer = window.featrackExplorer || {});
  // A term's weight by where it is found; a token's falls with its place among the strongest.
  const EXACT = 100;
  const SAME_LETTERS = 80;
  const PART_OF_TOKEN = 40;
  const PER_PLACE = 8;
  const WORD = 30;
  const PART_OF_TEXT = 15;
  const NUMBER = 150;
  const ESCAPES = { "\\n": "⏎", "\\t": "⇥", "\\r": "␍" };

  /* Words of a query, quoted ones as {exact}; `\n` and its like stand for the sign of them. */
  explorer.terms = (query) =>
    Array.from(query.matchAll(/"([^"]+)"|(\S+)/g), ([, exact, word]) => ({
      exact: exact !== undefined,
      text: (exact ?? word).replace(/\\[ntr]/g, (escape) => ESCAPES[escape]),
    }));

  function prepared(data) {
    if (!data.prepared) {
      const shown = data.meta.vocab.map((token) => explorer.signs(token) || "∅");
      const texts = data.models.flatMap(({ key }) => data.index[key].text);
      data.prepared = {
        raw: shown,
        trimmed: shown.map((token) => token.trim() || token),
        lower: shown.map((token) => token.toLowerCase()),
        tops: data.models.flatMap(({ key }) => data.index[key].top),
        texts: texts.map((text) => text.toLowerCase()),
      };
    }
    return data.prepared;
  }
  /* Done ahead of the first search, when the page has nothing better to do. */
  explorer.prepare = prepared;

  /* How well each token of the vocabulary answers a term; most answer not at all. */
  function tokenScores({ exact, text }, { raw, trimmed, lower }) {
    const edge = text.trim() !== text;
    const small = text.toLowerCase();
    return lower.map((token, id) => {
      if ((edge ? raw[id] : trimmed[id]) === text) return EXACT;
      if (exact) return 0;
      if (token.trim() === small) return SAME_LETTERS;
      return token.includes(small) ? PART_OF_TOKEN : 0;
    });
  }

  function termScores(data, term) {
    const { tops, texts, ...vocabulary } = prepared(data);
    const ofToken = tokenScores(term, vocabulary);
    const small = term.text.toLowerCase();
    const number = /^\d+$/.test(term.text) ? Number(term.text) : -1;
    const scores = new Float64Array(data.total);
    for (let id = 0; id < data.total; id++) {
      let best = data.number[id] === number ? NUMBER : 0;
      const top = tops[id];
      for (let place = 0; place < top.length; place++) {
        const score = ofToken[top[place]];
        if (score) best = Math.max(best, score - place * PER_PLACE);
      }
      if (!term.exact) {
        const at = texts[id].indexOf(small);
        if (at >= 0) best = Math.max(best, startsWord(texts[id], at) ? WORD : PART_OF_TEXT);
      }
      scores[id] = best;
    }
    return scores;
  }

  const startsWord = (text, at) => at === 0 || !/[\p{L}\p{N}]/u.test(text[at - 1]);

  /* Each feature's relevance, 0 where a term is not found, or null without a query. */
  function relevance(data, query) {
    const named = /^\s*(\S+)[ -](\d+)\s*$/u.exec(query);
    const model = explorer.modelNamed(data, named?.[1]);
    if (model >= 0 && Number(named[2]) < data.size) {
      const scores = new Float64Array(data.total);
      scores[model * data.size + Number(named[2])] = NUMBER;
      return scores;
    }
    const terms = explorer.terms(query);
    if (!terms.length) return null;
    return terms
      .map((term) => termScores(data, term))
      .reduce((all, one) => all.map((score, id) => (score && one[id] ? score + one[id] : 0)));
  }

  const MODEL = 1, CLASS = 2, DOMAIN = 4, UNIVERSAL = 8, DENSITY = 16, R = 32, REPRODUCIBLE = 64;

  function outside(value, [low, high]) {
    if (low === null && high === null) return false;
    return !(value >= (low ?? -Infinity) && value <= (high ?? Infinity));
  }

  /* The features a list state selects, in its order, and what each filter's choices would give.

     Returns {ids, rows, copies, counts: {model, class, domain, universal, reproducible}, others:
     {density, r}}: a choice is counted among what every other filter lets through; `others` are
     the features that all filters but that range let through; `rows` are the ids with copies
     folded, `copies` how many each row's feature has below it. */
  explorer.select = (data, state) => {
    const { meta, models } = data;
    const wanted = {
      model: new Set(state.model.map((key) => models.findIndex((m) => m.key === key))),
      cls: new Set(state.class.map((name) => meta.classes.indexOf(name))),
      domain: meta.domains.indexOf(state.domain),
    };
    const scores = relevance(data, state.q);
    const counts = {
      model: new Array(models.length).fill(0),
      class: new Array(meta.classes.length).fill(0),
      domain: new Array(meta.domains.length).fill(0),
      universal: 0,
      reproducible: 0,
    };
    const others = { density: [], r: [] };
    const ids = [];
    for (let id = 0; id < data.total; id++) {
      if (scores && !scores[id]) continue;
      let failed = 0;
      if (wanted.model.size && !wanted.model.has(data.model[id])) failed |= MODEL;
      if (wanted.cls.size && !wanted.cls.has(data.cls[id])) failed |= CLASS;
      if (wanted.domain >= 0 && data.main[id] !== wanted.domain) failed |= DOMAIN;
      if (state.universal && !data.universal[id]) failed |= UNIVERSAL;
      if (state.reproducible && !data.reproducible[id]) failed |= REPRODUCIBLE;
      if (outside(100 * data.density[id], state.density)) failed |= DENSITY;
      if (outside(data.r[id], state.r)) failed |= R;
      if (!failed) ids.push(id);
      if (!(failed & ~MODEL)) counts.model[data.model[id]] += 1;
      if (!(failed & ~CLASS)) counts.class[data.cls[id]] += 1;
      if (!(failed & ~DOMAIN) && data.main[id] >= 0) counts.domain[data.main[id]] += 1;
      if (!(failed & ~UNIVERSAL) && data.universal[id]) counts.universal += 1;
      if (!(failed & ~REPRODUCIBLE) && data.reproducible[id]) counts.reproducible += 1;
      if (!(failed & ~DENSITY)) others.density.push(id);
      if (!(failed & ~R)) others.r.push(id);
    }
    const inOrder = ordered(data, ids, scores, explorer.sorting(state));
    return { ids: inOrder, ...folded(data, inOrder, state.open), counts, others };
  };

  /* One row for each group of copies, its first feature in the order; open ones are followed by
     the rest. Returns {rows, copies: how many stand below a row's feature}. */
  function folded(data, ids, open) {
    const groups = new Map();
    for (const id of ids) {
      const group = data.group[id] < 0 ? `alone ${id}` : data.group[id];
      if (groups.has(group)) groups.get(group).push(id);
      else groups.set(group, [id]);
    }
    const rows = [];
    const copies = new Map();
    const names = new Set(open);
    for (const [first, ...rest] of groups.values()) {
      rows.push(first);
      if (rest.length) copies.set(first, rest.length);
      if (names.has(explorer.hashOf(data, first).slice(1))) rows.push(...rest);
    }
    return { rows: Uint32Array.from(rows), copies };
  }

  /* What isn't defined comes last in either direction; ties go by best r, then by number. */
  function ordered(data, ids, scores, { sort, order }) {
    const values = sort === "relevance" ? scores || data.r : data[sort];
    const sign = order === "asc" ? 1 : -1;
    const compare = (a, b, direction) => {
      if (a === b) return 0;
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return direction * (a - b);
    };
    return Uint32Array.from(ids).sort(
      (a, b) =>
        compare(values[a], values[b], sign) || compare(data.r[a], data.r[b], -1) || a - b
    );
  }
})();
