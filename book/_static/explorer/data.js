/* The explorer's data: scripts loaded when they are wanted, checked, and laid out for searching.
   Every file is a classic script of one call of `receive`, with its content or a promise of it
   (unpacked by the browser), so a page opened from a disk can read it as well as a web host's. */
"use strict";
(() => {
  const explorer = (window.featrackExplorer = window.featrackExplorer || {});
  const FOLDER = new URL("data/", document.currentScript.src).href;
  const FORMAT = 3;
  const CHUNK = 256; // features in one file of contexts
  const MAIN_SHARE = 0.5; // of a feature's densities, to be called its main domain
  const requests = new Map();

  explorer.receive = (name, value) => {
    const request = requests.get(name);
    if (request) request.value = value;
  };

  /* One data file's content; a failed one is asked for anew next time. */
  explorer.load = (name) => {
    if (!requests.has(name)) requests.set(name, requested(name));
    return requests.get(name).promise;
  };

  function requested(name) {
    const request = {};
    request.promise = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const fail = (trouble) => {
        requests.delete(name);
        reject(new Error(`The data file ${name}.js ${trouble}`));
      };
      script.onload = () =>
        Promise.resolve(request.value ?? Promise.reject()).then(resolve, () =>
          fail("is damaged: build the book again.")
        );
      script.onerror = () =>
        fail("is missing: build the book again, or copy its whole _static/explorer folder.");
      script.src = FOLDER + encodeURIComponent(name) + ".js";
      document.head.append(script);
      script.addEventListener("load", () => script.remove());
    });
    return request;
  }

  /* Everything the list needs, as flat arrays over the features of all models. */
  explorer.open = async () => {
    const [meta, index] = await Promise.all([explorer.load("meta"), explorer.load("index")]);
    if (meta.format !== FORMAT) {
      throw new Error(
        `The explorer's data has format ${meta.format}, this page reads ${FORMAT}: ` +
          "build the book again."
      );
    }
    for (const { key } of meta.models) {
      if (!index[key] || index[key].cls.length !== meta.d_sae) {
        throw new Error(`The data file index.js lacks features of ${key}: build the book again.`);
      }
    }
    return flattened(meta, index);
  };

  const number = (value) => (value === null || value === undefined ? NaN : value);

  function flattened(meta, index) {
    const { d_sae: size, models } = meta;
    const total = size * models.length;
    const weights = domainWeights(meta);
    const data = {
      meta, models, index, total, size,
      model: new Uint8Array(total), number: new Float64Array(total), cls: new Uint8Array(total),
      universal: new Uint8Array(total), reproducible: new Uint8Array(total),
      own: new Float64Array(total), group: new Int32Array(total).fill(-1), main: new Int8Array(total).fill(-1),
      density: new Float64Array(total), peak: new Float64Array(total),
      r: new Float64Array(total).fill(NaN), score: new Float64Array(total),
    };
    models.forEach(({ key }, m) => {
      const part = index[key];
      for (let i = 0; i < size; i++) {
        const id = m * size + i;
        data.model[id] = m;
        data.number[id] = i;
        data.cls[id] = part.cls[i];
        data.universal[id] = part.universal[i];
        data.reproducible[id] = part.reproducible[i];
        data.own[id] = number(part.own[i]);
        if (part.copies[i] >= 0) data.group[id] = m * size + part.copies[i];
        data.peak[id] = number(part.peak[i]);
        data.score[id] = number(part.sim[i]);
        let sum = 0;
        let most = 0;
        part.density.forEach((ofDomain, d) => {
          sum += ofDomain[i];
          data.density[id] += weights[d] * ofDomain[i];
          if (ofDomain[i] > part.density[most][i]) most = d;
        });
        if (sum > 0 && part.density[most][i] > MAIN_SHARE * sum) data.main[id] = most;
      }
      for (const partner of Object.values(part.match)) {
        for (let i = 0; i < size; i++) {
          const r = partner.r[i];
          if (r !== null && !(data.r[m * size + i] >= r)) data.r[m * size + i] = r;
        }
      }
    });
    data.judged = data.own.some((r) => !Number.isNaN(r));
    data.peakDigits = decimals(data.peak);
    return data;
  }

  /* Decimals that give a middling one of some values three digits, for a column of them. */
  function decimals(values) {
    const sorted = values.filter((value) => value > 0).sort();
    const middle = sorted[Math.floor(sorted.length / 2)] || 1;
    return Math.max(0, 2 - Math.floor(Math.log10(middle)));
  }

  function domainWeights(meta) {
    const counts = new Array(meta.domains.length).fill(0);
    const domains = bytes(meta.block_domain);
    for (const domain of domains) counts[domain] += 1;
    meta.domainOf = domains;
    return counts.map((count) => count / domains.length);
  }

  function bytes(base64) {
    const text = atob(base64);
    const out = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
    return out;
  }

  /* Token ids of the evaluation mix, decoded when the first context is shown. */
  function tokens(meta) {
    if (!meta.decoded) {
      const raw = new DataView(bytes(meta.tokens).buffer);
      const wide = meta.token_bytes === 4;
      meta.decoded = new Uint32Array(raw.byteLength / meta.token_bytes).map((_, i) =>
        wide ? raw.getUint32(4 * i, true) : raw.getUint16(2 * i, true)
      );
    }
    return meta.decoded;
  }

  const BEFORE = 15;
  const AFTER = 8;

  /* A stored context as {domain, centre, tokens: [[text, level 0–255]…]}. */
  explorer.context = (meta, [position, pairs]) => {
    const block = Math.floor(position / meta.width);
    const start = Math.max(block * meta.width, position - BEFORE);
    const end = Math.min((block + 1) * meta.width, position + AFTER + 1);
    const ids = tokens(meta).subarray(start, end);
    const levels = new Map();
    for (let i = 0; i < pairs.length; i += 2) levels.set(pairs[i], pairs[i + 1]);
    return {
      position,
      domain: meta.domains[meta.domainOf[block]],
      centre: position - start,
      tokens: Array.from(ids, (id, place) => [meta.vocab[id], levels.get(place) || 0]),
    };
  };

  /* Contexts, histogram and logit effects of one feature, from its model's chunk. */
  explorer.details = async (data, id) => {
    const name = `${data.models[data.model[id]].key}-${Math.floor(data.number[id] / CHUNK)}`;
    const detail = (await explorer.load(name))[data.number[id] % CHUNK];
    if (!detail) throw new Error(`The data file ${name}.js is damaged: build the book again.`);
    return detail;
  };

  /* How a feature is written in links ("#chat-123") and in text ("Chat 123"). */
  explorer.hashOf = (data, id) => `#${data.models[data.model[id]].key}-${data.number[id]}`;
  explorer.nameOf = (data, id) => `${data.models[data.model[id]].label} ${data.number[id]}`;

  /* The place of the model with that name, in any case; −1 if there is none. */
  explorer.modelNamed = (data, name) =>
    data.models.findIndex(({ key }) => key.toLowerCase() === (name || "").toLowerCase());

  /* What one model is to another: "parent", "child", or nothing nearer. */
  explorer.kinship = (data, model, other) => {
    const [own, theirs] = [data.models[model], data.models[other]];
    if (own.parents.includes(theirs.key)) return "parent";
    return theirs.parents.includes(own.key) ? "child" : "";
  };

  const ofModel = (data, id) => data.index[data.models[data.model[id]].key];

  /* A field of the index; densities come in the order of the domains. */
  explorer.part = (data, id, field) => ofModel(data, id)[field][data.number[id]];
  explorer.densities = (data, id) =>
    ofModel(data, id).density.map((ofDomain) => ofDomain[data.number[id]]);

  /* The other features of its own dictionary that a feature is a copy of. */
  explorer.copiesOf = (data, id) => {
    const found = [];
    const first = data.model[id] * data.size;
    for (let other = first; other < first + data.size; other++) {
      if (other !== id && data.group[id] >= 0 && data.group[other] === data.group[id]) {
        found.push(other);
      }
    }
    return found;
  };

  /* Best partner in each other model: {model: its index, id or null, r or null}. */
  explorer.matches = (data, id) => {
    const { match } = ofModel(data, id);
    return data.models.flatMap(({ key }, m) => {
      if (m === data.model[id] || !match[key]) return [];
      const partner = match[key].i[data.number[id]];
      const r = match[key].r[data.number[id]];
      return [{ model: m, id: partner < 0 ? null : m * data.size + partner, r }];
    });
  };

  // Asked for while the page is still being read, so that the list can be drawn at once. What
  // fails is told by `open`, which asks again.
  for (const name of ["meta", "index"]) explorer.load(name).catch(() => {});
})();
