/* Tokens, one-layer models and dictionaries in plain numbers. `featrackTouch.core` needs nothing
   from outside itself, so that a worker can be made of its text; loaded as a worker it starts. */
"use strict";
(() => {
  function core() {
    // ---- Data: base-91 text of a deflated file: scales, then high, middle and low bytes (page_models.py).
    const FIRST = 35; // "#", the first of 91 signs; "\" is left out
    const BASE = 91;
    const HALF = 0x8080; // what was added to every number

    function bytesOf(text) {
      const out = new Uint8Array(Math.floor(((text.length >> 1) * 13) / 8));
      let held = 0;
      let bits = 0;
      let place = 0;
      const digits = Uint8Array.from({ length: 128 }, (_, code) => code - FIRST - (code > 92 ? 1 : 0));
      for (let i = 0; i < text.length; i += 2) {
        held = (held << 13) | (digits[text.charCodeAt(i)] * BASE + digits[text.charCodeAt(i + 1)]);
        for (bits += 13; bits >= 8; bits -= 8) out[place++] = (held >> (bits - 8)) & 255;
        held &= (1 << bits) - 1;
      }
      return out;
    }

    /* The named tensors of a file, each {rows, columns, values}. */
    async function unpacked(shapes, size, text) {
      const packed = new Blob([bytesOf(text).subarray(0, size)]);
      const stream = packed.stream().pipeThrough(new DecompressionStream("deflate"));
      const buffer = await new Response(stream).arrayBuffer();
      const nRows = shapes.reduce((sum, [, rows]) => sum + rows, 0);
      const total = shapes.reduce((sum, [, rows, columns]) => sum + rows * columns, 0);
      if (buffer.byteLength !== 4 * nRows + 3 * total) throw new Error("is damaged");
      const planes = new Uint8Array(buffer, 0, 4 * nRows); // all first bytes, all second ones, …
      const scales = new DataView(new ArrayBuffer(4 * nRows));
      planes.forEach((byte, i) => scales.setUint8(4 * (i % nRows) + Math.floor(i / nRows), byte));
      const high = new Int8Array(buffer, 4 * nRows, total);
      const middle = new Uint8Array(buffer, 4 * nRows + total, total);
      const low = new Uint8Array(buffer, 4 * nRows + 2 * total, total);
      const tensors = {};
      let row = 0;
      let at = 0;
      for (const [name, rows, columns] of shapes) {
        const values = new Float32Array(rows * columns);
        for (let r = 0, i = 0; r < rows; r++) {
          const scale = scales.getFloat32(4 * row++, true);
          for (let c = 0; c < columns; c++, i++, at++) {
            values[i] = scale * (high[at] * 65536 + middle[at] * 256 + low[at] - HALF);
          }
        }
        tensors[name] = { rows, columns, values };
      }
      return tensors;
    }

    // ---- Byte-level BPE.
    // GPT-2's pieces; \s is spelled out, for JavaScript's own has other members than Unicode's.
    const SPACE = "\\p{White_Space}";
    const PIECES = new RegExp(
      `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+` +
        `|${SPACE}+(?![^${SPACE}])|${SPACE}+`,
      "gu"
    );
    const PAIR = 1 << 20; // more than a vocabulary has tokens

    function tokenizer({ bytes, merges }) {
      const ranks = new Map();
      for (let i = 0; i < merges.length; i += 3) {
        ranks.set(merges[i] * PAIR + merges[i + 1], [i, merges[i + 2]]);
      }
      const known = new Map();

      /* All places of the earliest pair at once: what they make is in later pairs only. */
      function merged(piece) {
        let ids = Array.from(new TextEncoder().encode(piece), (byte) => bytes[byte]);
        for (;;) {
          let best = null;
          for (let i = 0; i + 1 < ids.length; i++) {
            const found = ranks.get(ids[i] * PAIR + ids[i + 1]);
            if (found && (!best || found[0] < best[0])) best = found;
          }
          if (!best) return ids;
          const [a, b] = [merges[best[0]], merges[best[0] + 1]];
          const next = [];
          for (let i = 0; i < ids.length; i++) {
            if (ids[i] === a && ids[i + 1] === b) {
              next.push(best[1]);
              i++;
            } else next.push(ids[i]);
          }
          ids = next;
        }
      }

      return (text) => {
        const ids = [];
        // Half a surrogate pair is a question mark, as in Python.
        for (const [piece] of text.replace(/\p{Surrogate}/gu, "?").matchAll(PIECES)) {
          if (!known.has(piece)) {
            if (known.size > 5000) known.clear();
            known.set(piece, merged(piece));
          }
          for (const id of known.get(piece)) ids.push(id);
        }
        return ids;
      };
    }

    // ---- The models. Positions are rows; sums are taken in float64.
    let four = new Float64Array(0); // rows of x, four interleaved
    let two = new Float64Array(0); // two rows of w, interleaved

    /* out[t, r] = Σ_c w[r, c] x[t, c] for rows `from` to `to` of x: eight sums at a time, each in a
       variable of its own and from float64 alone, which is five times as fast as in arrays. */
    function multiply({ rows, columns, values: w }, x, from, to, out) {
      const n = to - from;
      if (n === 1) return single(w, rows, columns, x, from, out);
      const size = 4 * columns * Math.ceil(n / 4);
      if (four.length < size) four = new Float64Array(size);
      if (two.length < 2 * columns) two = new Float64Array(2 * columns);
      four.fill(0, size - 4 * columns, size);
      for (let t = 0; t < n; t++) {
        const at = 4 * columns * (t >> 2) + (t & 3);
        for (let c = 0; c < columns; c++) four[at + 4 * c] = x[(from + t) * columns + c];
      }
      for (let r = 0; r < rows; r += 2) {
        const a = r * columns;
        const pair = r + 1 < rows;
        const b = pair ? a + columns : a;
        for (let c = 0; c < columns; c++) {
          two[2 * c] = w[a + c];
          two[2 * c + 1] = w[b + c];
        }
        for (let t = 0, at = 0; t < n; t += 4) {
          let s0 = 0, s1 = 0, s2 = 0, s3 = 0, u0 = 0, u1 = 0, u2 = 0, u3 = 0;
          for (let c = 0; c < columns; c++, at += 4) {
            const p = two[2 * c];
            const q = two[2 * c + 1];
            s0 += p * four[at];
            s1 += p * four[at + 1];
            s2 += p * four[at + 2];
            s3 += p * four[at + 3];
            u0 += q * four[at];
            u1 += q * four[at + 1];
            u2 += q * four[at + 2];
            u3 += q * four[at + 3];
          }
          const sums = [s0, s1, s2, s3, u0, u1, u2, u3];
          for (let j = 0; j < 4 && t + j < n; j++) {
            const place = (from + t + j) * rows + r;
            out[place] = sums[j];
            if (pair) out[place + 1] = sums[j + 4];
          }
        }
      }
      return undefined;
    }

    function single(w, rows, columns, x, t, out) {
      const start = t * columns;
      for (let r = 0; r < rows; r++) {
        const first = r * columns;
        let [even, odd] = [0, 0];
        let c = 0;
        for (; c + 1 < columns; c += 2) {
          even += w[first + c] * x[start + c];
          odd += w[first + c + 1] * x[start + c + 1];
        }
        if (c < columns) even += w[first + c] * x[start + c];
        out[t * rows + r] = even + odd;
      }
    }

    function normed(x, t, { values: gain }, eps, out) {
      const d = gain.length;
      let squares = 0;
      for (let i = 0; i < d; i++) squares += x[t * d + i] ** 2;
      const scale = 1 / Math.sqrt(squares / d + eps);
      for (let i = 0; i < d; i++) out[t * d + i] = x[t * d + i] * scale * gain[i];
    }

    /* Turns the halves of each head by the position's angles. */
    function rotate(x, t, heads, size, theta) {
      const half = size / 2;
      for (let i = 0; i < half; i++) {
        const angle = t / theta ** (i / half);
        const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
        for (let h = 0; h < heads; h++) {
          const a = (t * heads + h) * size + i;
          const [one, two] = [x[a], x[a + half]];
          x[a] = one * cos - two * sin;
          x[a + half] = two * cos + one * sin;
        }
      }
    }

    /* A model that keeps what it computed of a text for the next one that begins alike. */
    function reader(weights, dictionary, shape) {
      const { heads, kv_heads: kvHeads, head_size: size, theta, eps, context } = shape;
      const d = weights.embed.columns;
      const neurons = weights.gate.rows;
      const features = dictionary ? dictionary.enc.rows : 0;
      const room = (n) => new Float32Array(context * n);
      const held = {
        x: room(d), normed: room(d), q: room(heads * size), k: room(kvHeads * size),
        v: room(kvHeads * size), mixed: room(heads * size), added: room(d), gate: room(neurons),
        acts: room(neurons), centred: room(neurons), f: room(features),
      };
      let ids = [];

      function attend(t) {
        const scores = new Float64Array(t + 1);
        for (let h = 0; h < heads; h++) {
          const kv = Math.floor(h / (heads / kvHeads));
          const q0 = (t * heads + h) * size;
          let most = -Infinity;
          for (let s = 0; s <= t; s++) {
            const k0 = (s * kvHeads + kv) * size;
            let sum = 0;
            for (let i = 0; i < size; i++) sum += held.q[q0 + i] * held.k[k0 + i];
            scores[s] = sum / Math.sqrt(size);
            most = Math.max(most, scores[s]);
          }
          let total = 0;
          for (let s = 0; s <= t; s++) total += scores[s] = Math.exp(scores[s] - most);
          for (let i = 0; i < size; i++) {
            let sum = 0;
            for (let s = 0; s <= t; s++) sum += scores[s] * held.v[(s * kvHeads + kv) * size + i];
            held.mixed[q0 + i] = sum / total;
          }
        }
      }

      /* Reads a text: up to the MLP's activations, and the dictionary's features. Gives the first
         position that is new. */
      function read(given) {
        let from = 0;
        while (from < ids.length && from < given.length && ids[from] === given[from]) from++;
        ids = [...given];
        const to = ids.length;
        for (let t = from; t < to; t++) {
          const row = weights.embed.values.subarray(ids[t] * d, (ids[t] + 1) * d);
          held.x.set(row, t * d);
          normed(held.x, t, weights.norm1, eps, held.normed);
        }
        multiply(weights.q, held.normed, from, to, held.q);
        multiply(weights.k, held.normed, from, to, held.k);
        multiply(weights.v, held.normed, from, to, held.v);
        for (let t = from; t < to; t++) {
          rotate(held.q, t, heads, size, theta);
          rotate(held.k, t, kvHeads, size, theta);
          attend(t);
        }
        multiply(weights.o, held.mixed, from, to, held.added);
        for (let t = from; t < to; t++) {
          for (let i = t * d; i < (t + 1) * d; i++) held.x[i] += held.added[i];
          normed(held.x, t, weights.norm2, eps, held.normed);
        }
        multiply(weights.gate, held.normed, from, to, held.gate);
        multiply(weights.up, held.normed, from, to, held.acts);
        for (let i = from * neurons; i < to * neurons; i++) {
          held.acts[i] *= held.gate[i] / (1 + Math.exp(-held.gate[i]));
        }
        if (!dictionary) return from;
        const { dec_bias: centre, bias, threshold } = dictionary;
        for (let t = from; t < to; t++) {
          for (let i = 0; i < neurons; i++) {
            held.centred[t * neurons + i] =
              held.acts[t * neurons + i] - shape.centred * centre.values[i];
          }
        }
        multiply(dictionary.enc, held.centred, from, to, held.f);
        for (let t = from; t < to; t++) {
          for (let i = 0; i < features; i++) {
            const place = t * features + i;
            const value = held.f[place] + bias.values[i];
            // No dictionary has seen the token that begins a document.
            held.f[place] = t > 0 && value > threshold.values[i] ? value : 0;
          }
        }
        return from;
      }

      /* Logits after positions `from` to `to`; `edit` {feature, scale} changes one feature there. */
      function logits(from, to, edit = null) {
        const n = to - from;
        const acts = held.acts.slice(from * neurons, to * neurons);
        for (let t = from; edit && t < to; t++) {
          const change = (edit.scale - 1) * held.f[t * features + edit.feature];
          const row = edit.feature * neurons;
          for (let i = 0; change && i < neurons; i++) {
            acts[(t - from) * neurons + i] += change * dictionary.dec.values[row + i];
          }
        }
        const x = new Float32Array(n * d);
        multiply(weights.down, acts, 0, n, x);
        for (let i = 0; i < n * d; i++) x[i] += held.x[from * d + i];
        const last = new Float32Array(n * d);
        for (let t = 0; t < n; t++) normed(x, t, weights.norm, eps, last);
        const out = new Float32Array(n * weights.unembed.rows);
        multiply(weights.unembed, last, 0, n, out);
        return out;
      }

      const acts = (feature) => Array.from(ids, (_, t) => held.f[t * features + feature]);
      const allActs = (t) => held.f.subarray(t * features, (t + 1) * features);
      return { read, logits, acts, allActs, features, ids: () => ids };
    }

    function probabilities(logits, from = 0, to = logits.length) {
      let most = -Infinity;
      for (let i = from; i < to; i++) most = Math.max(most, logits[i]);
      const out = new Float64Array(to - from);
      let total = 0;
      for (let i = from; i < to; i++) total += out[i - from] = Math.exp(logits[i] - most);
      return out.map((value) => value / total);
    }

    /* Places of the n largest values above 0, the largest first. */
    function largest(values, n) {
      const best = [];
      for (let i = 0; i < values.length; i++) {
        const full = best.length === n;
        if (!(values[i] > 0) || (full && values[best[n - 1]] >= values[i])) continue;
        let place = full ? n - 1 : best.length;
        while (place > 0 && values[best[place - 1]] < values[i]) place--;
        if (full) best.pop();
        best.splice(place, 0, i);
      }
      return best;
    }

    // ---- Merging, tensor by tensor, in float64; as featrack_utils.models.merging.
    /* How much of a and of b the tensor between them has, as a function of t. */
    function mixture(a, b, method) {
      let [dot, aa, bb] = [0, 0, 0];
      for (let i = 0; i < a.length; i++) {
        dot += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
      }
      const length = (squares) => (Math.sqrt(squares) > 1e-8 ? Math.sqrt(squares) : 1);
      const cosine = dot / length(aa) / length(bb);
      if (method !== "slerp" || Math.abs(cosine) > 0.9995) return (t) => [1 - t, t];
      const theta = Math.acos(cosine);
      return (t) => [1 - t, t].map((s) => Math.sin(s * theta) / Math.sin(theta));
    }

    function mixed(a, b, [ofA, ofB], out) {
      for (let i = 0; i < a.length; i++) out[i] = ofA * a[i] + ofB * b[i];
      return out;
    }

    /* Sets weights between two models' anew for each t. */
    function between(a, b, method) {
      const names = Object.keys(a);
      const out = {};
      const parts = names.map((name) => {
        out[name] = { ...a[name], values: new Float32Array(a[name].values.length) };
        return mixture(a[name].values, b[name].values, method);
      });
      const set = (t) =>
        names.forEach((name, i) =>
          mixed(a[name].values, b[name].values, parts[i](t), out[name].values)
        );
      return { weights: out, set };
    }

    // ---- What the page asks for.
    const PARTS = ["enc", "dec", "bias", "dec_bias", "threshold"];
    const models = {};
    const ways = {};
    let meta = null;
    let encode = null;

    const calls = {
      begin(given) {
        meta = given;
        encode = tokenizer(meta.tokenizer);
      },
      encode: (text) => encode(text),
      async add(key, shapes, size, text) {
        const tensors = await unpacked(shapes, size, text);
        const dictionary = {};
        const weights = {};
        for (const [name, one] of Object.entries(tensors)) {
          (PARTS.includes(name) ? dictionary : weights)[name] = one;
        }
        const shape = { ...meta.shape, centred: Number(meta.centred[key]) };
        models[key] = { weights, dictionary, shape, reader: reader(weights, dictionary, shape) };
      },
      /* A text in one model: next tokens after position `at`, and its strongest features. */
      read(key, ids, at, top) {
        const { reader: one } = models[key];
        one.read(ids);
        const chances = probabilities(one.logits(at, at + 1));
        const peaks = new Float32Array(one.features);
        for (let t = 1; t < ids.length; t++) {
          const acts = one.allActs(t);
          for (let i = 0; i < acts.length; i++) if (acts[i] > peaks[i]) peaks[i] = acts[i];
        }
        const next = largest(chances, top);
        const strongest = largest(peaks, top);
        const here = largest(one.allActs(at), top);
        const pairs = (places, values) => places.map((i) => [i, values[i]]);
        return {
          next: pairs(next, chances), text: pairs(strongest, peaks), here: pairs(here, one.allActs(at)),
        };
      },
      /* A feature's activation on each token of a text. */
      trace(key, ids, feature) {
        models[key].reader.read(ids);
        return models[key].reader.acts(feature);
      },
      logits(key, ids, at, edit) {
        models[key].reader.read(ids);
        return models[key].reader.logits(at, at + 1, edit);
      },
      acts(key, ids, at) {
        models[key].reader.read(ids);
        return models[key].reader.allActs(at).slice();
      },
      /* Next tokens with a feature scaled, and the share of probability that moves. */
      edit(key, ids, at, edit, top) {
        const { reader: one } = models[key];
        one.read(ids);
        const clean = probabilities(one.logits(at, at + 1));
        const changed = probabilities(one.logits(at, at + 1, edit));
        const change = changed.map((value, i) => Math.abs(value - clean[i]));
        const moved = change.reduce((sum, value) => sum + value, 0) / 2;
        const rows = largest(change, top).map((i) => [i, clean[i], changed[i]]);
        rows.sort((a, b) => a[2] - a[1] - (b[2] - b[1]));
        const active = largest(one.allActs(at), top);
        return { moved, rows, active, acts: one.acts(edit.feature) };
      },
      /* The model at t between two: loss of a text in nats per token, next tokens, a feature. */
      way(a, b, method, t, ids, owner, feature, top) {
        const name = JSON.stringify([a, b, method]);
        const way = (ways[name] ??= between(models[a].weights, models[b].weights, method));
        const wanted = JSON.stringify([t, owner, feature]);
        if (way.shown !== wanted) {
          way.set(t);
          const { dec_bias: centre, enc, bias, threshold } = models[owner].dictionary;
          // Of the dictionary one row is enough.
          const row = ({ columns, values }) => ({
            rows: 1, columns, values: values.subarray(feature * columns, (feature + 1) * columns),
          });
          const one = { enc: row(enc), bias: row(bias), threshold: row(threshold), dec_bias: centre };
          way.reader = reader(way.weights, one, models[owner].shape);
          Object.assign(way, { shown: wanted, losses: [] });
        }
        // While only the text changes, what stands before the change is kept.
        const { reader: now, losses } = way;
        const from = Math.max(0, now.read(ids) - 1);
        const logits = now.logits(from, ids.length);
        const vocabulary = logits.length / (ids.length - from);
        losses.length = from;
        for (let p = from, i = 0; p + 1 < ids.length; p++, i++) {
          const chances = probabilities(logits, i * vocabulary, (i + 1) * vocabulary);
          losses.push(-Math.log(chances[ids[p + 1]]));
        }
        const loss = losses.reduce((sum, one) => sum + one, 0) / losses.length;
        const chances = probabilities(logits, logits.length - vocabulary);
        const next = largest(chances, top).map((i) => [i, chances[i]]);
        return { loss, next, acts: now.acts(0) };
      },
    };
    return { calls, mixture, mixed, bytesOf };
  }

  /* Answers messages [number, call, arguments] with [number, result] or [number, null, trouble]. */
  function serve(scope, made) {
    scope.onmessage = async ({ data: [number, call, given] }) => {
      try {
        scope.postMessage([number, await made.calls[call](...given)]);
      } catch (error) {
        scope.postMessage([number, null, String(error.message || error)]);
      }
    };
  }

  if (typeof document === "undefined") serve(self, core());
  else Object.assign((window.featrackTouch = window.featrackTouch || {}), { core, serve });
})();
