/* The controls over the models, and the address that says what is shown. Typed text enters the
   page as text nodes only. */
"use strict";
(() => {
  const touch = (window.featrackTouch = window.featrackTouch || {});
  const { el, svg, token, chip, fixed, digits } = window.featrackExplorer;
  const SETTLED = 250; // milliseconds without a change before the address follows
  const SHOWN = 6; // next tokens, and features, of a model
  const ROWS = 10; // tokens that change most
  const SAMPLE = "local function add(a, b)\n    return a + b\nend";

  // ---- What is shown. `at` counts tokens of the text from 1; 0 is the last one.
  const state = { text: SAMPLE, models: [], feature: "", t: 0.5, method: "slerp", scale: 0, at: 0 };
  const views = [];
  let meta = null;
  let timer = 0;

  function parsed(hash) {
    const parts = new URLSearchParams(hash.slice(1));
    const number = (name, low, high) => {
      const value = parts.has(name) ? Number(parts.get(name)) : NaN;
      return Number.isNaN(value) ? {} : { [name]: Math.min(high, Math.max(low, value)) };
    };
    const found = { ...number("t", 0, 1), ...number("scale", 0, 4), ...number("at", 0, 1e6) };
    if (parts.has("text")) found.text = parts.get("text");
    if (["slerp", "linear"].includes(parts.get("method"))) found.method = parts.get("method");
    if (named(parts.get("feature"))) found.feature = parts.get("feature");
    const keys = meta.models.map(({ key }) => key);
    const chosen = (parts.get("models") || "").split(",").filter((key) => keys.includes(key));
    if (chosen.length) found.models = chosen;
    return found;
  }

  /* The model and number of “key-123”; null for none there. */
  function named(name) {
    const [, key, number] = /^(.+)-(\d+)$/.exec(name || "") || [];
    const model = meta.models.find((one) => one.key === key);
    return model && Number(number) < meta.d_sae ? { ...model, number: Number(number) } : null;
  }

  function address() {
    const parts = new URLSearchParams({ text: state.text });
    for (const name of ["feature", "t", "method", "scale", "at"]) parts.set(name, state[name]);
    parts.set("models", state.models.join());
    return `#${parts}`;
  }

  function change(part) {
    Object.assign(state, part);
    if ("text" in part) state.at = 0;
    for (const show of views) show();
    clearTimeout(timer);
    timer = setTimeout(() => history.replaceState(null, "", address()), SETTLED);
  }

  // ---- Parts that the controls share.
  let made = 0;
  const id = () => `featrack-touch-${made++}`;

  function labelled(words, input) {
    input.id = id();
    return el("p", { class: "ft-field" }, el("label", { for: input.id }, words), input);
  }

  function textField(words) {
    const input = el("textarea", {
      rows: 3, spellcheck: "false", autocapitalize: "off", dir: "auto",
      input: () => change({ text: input.value }),
    });
    views.push(() => {
      if (input.value !== state.text) input.value = state.text;
    });
    return labelled(words, input);
  }

  function featureField(models) {
    const model = el("select", { change: () => set() });
    model.append(...models.map(({ key, label }) => el("option", { value: key }, label)));
    const number = el("input", {
      type: "number", min: 0, max: meta.d_sae - 1, step: 1, input: () => set(),
    });
    const set = () => {
      const name = `${model.value}-${number.value}`;
      if (named(name)) change({ feature: name });
    };
    views.push(() => {
      const { key, number: shown } = named(state.feature);
      if (document.activeElement !== number) number.value = shown;
      model.value = key;
    });
    return [labelled("Dictionary of", model), labelled("Feature", number)];
  }

  const sign = (model) => el("span", { class: "ft-dot", "aria-hidden": "true", "--model": model.colour });
  const percent = (share) => `${digits(100 * share, share < 0.001 ? 2 : 3)}\u00a0%`;

  /* A feature's name as a link to its page in the explorer, where the text goes along. */
  function link(model, number) {
    const href = `explorer.html?${new URLSearchParams({ text: state.text })}#${model.key}-${number}`;
    return el("a", { href }, `${model.label} ${number}`);
  }

  /* A text whose tokens are shaded by a feature's activation; `pick` makes them buttons. */
  function strip(ids, acts, colour, pick = null) {
    const most = Math.max(...acts, 1e-9);
    const tokens = ids.map((one, i) => {
      const title = acts[i] > 0 ? digits(acts[i]) : null;
      const shade = { "--level": `${Math.round((100 * acts[i]) / most)}%`, title };
      if (!pick) return el("span", { class: "ft-token", ...shade }, token(meta.vocab[one]));
      const chosen = i === pick.at;
      const attributes = {
        type: "button", class: "ft-token", "aria-pressed": String(chosen),
        tabindex: chosen ? 0 : -1, click: () => pick.choose(i), ...shade,
      };
      return el("button", attributes, token(meta.vocab[one]));
    });
    const name = pick ? "Tokens: choose one" : "Tokens, shaded by the feature";
    const keys = { ArrowLeft: -1, ArrowRight: 1 };
    const keydown = (event) => {
      const step = keys[event.key];
      if (!pick || !step) return;
      event.preventDefault();
      event.stopPropagation(); // the theme turns pages by arrow keys
      pick.choose(Math.min(ids.length - 1, Math.max(0, pick.at + step)), true);
    };
    return el(
      "div",
      { class: "ft-strip", role: pick ? "toolbar" : "group", "aria-label": name, "--model": colour, keydown },
      ...tokens
    );
  }

  function table(caption, heads, rows) {
    const cells = (row) =>
      row.map((cell, i) => el(i ? "td" : "th", { scope: i ? null : "row" }, cell));
    return el(
      "table",
      {},
      el("caption", {}, caption),
      heads.length
        ? el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head))))
        : "",
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row))))
    );
  }

  const nextTokens = (next) =>
    table(
      "Next token",
      [],
      next.slice(0, SHOWN).map(([one, chance]) => [
        chip(meta.vocab[one]),
        el("span", { class: "ft-chance", "--share": `${100 * chance}%` }, percent(chance)),
      ])
    );

  class Sentence extends Error {}

  /* The ids of the text, led by the token that begins every document. */
  async function read() {
    if (!state.text) throw new Sentence("There is no text to read: type some.");
    const ids = await touch.ask([], "encode", state.text);
    if (ids.length >= meta.shape.context) {
      const most = meta.shape.context - 1;
      throw new Sentence(
        `The text has ${ids.length.toLocaleString("en")} tokens and the models read at most ` +
          `${most.toLocaleString("en")}: shorten it.`
      );
    }
    return [meta.bos, ...ids];
  }

  /* Where answers stand: the newest question is answered, those it overtook are not asked. A control
     out of sight waits until it is scrolled to: models are loaded then, and a key that changes all
     controls takes no longer than the one in sight. */
  function answers(compute) {
    const place = el("div", { class: "ft-answer", "aria-live": "polite" });
    let [asked, busy, inSight] = [false, false, false];
    async function show() {
      if (busy) return;
      busy = true;
      while (asked && inSight) {
        asked = false;
        try {
          place.replaceChildren(...(await compute()));
        } catch (error) {
          place.replaceChildren(el("p", { role: "alert", class: "ft-trouble" }, error.message));
        }
        if (!asked) place.removeAttribute("aria-busy");
      }
      busy = false;
    }
    const sight = new IntersectionObserver((entries) => {
      inSight = entries.at(-1).isIntersecting;
      show();
    });
    views.push(() => {
      asked = true;
      place.setAttribute("aria-busy", "true");
      sight.observe(place.parentElement); // the control
      show();
    });
    return place;
  }

  const position = (ids) => (state.at > 0 && state.at < ids.length ? state.at : ids.length - 1);

  // ---- Type.
  function typePanel() {
    const boxes = meta.models.map((model) => {
      const box = el("input", {
        type: "checkbox", value: model.key,
        change: () => change({ models: boxes.filter((b) => b.checked).map((b) => b.value) }),
      });
      return box;
    });
    views.push(() => boxes.forEach((box) => (box.checked = state.models.includes(box.value))));
    const choice = el(
      "fieldset",
      { class: "ft-models" },
      el("legend", {}, "Models"),
      ...meta.models.map((model, i) => el("label", {}, boxes[i], " ", sign(model), model.label))
    );
    const picked = el("div", {});
    const column = (model, { next, text, here }, at) => {
      const features = (caption, pairs) =>
        table(
          caption,
          [],
          pairs.map(([i, value]) => [link(model, i), digits(value), follow(model, i)])
        );
      return el(
        "section",
        { class: "ft-model", "aria-label": model.label, "--model": model.colour },
        el("h4", {}, sign(model), model.label),
        nextTokens(next),
        text.length ? features("Strongest on the text", text) : el("p", {}, "No feature fires."),
        here.length && at ? features("Strongest on this token", here) : ""
      );
    };
    const follow = (model, i) => {
      const name = `${model.key}-${i}`;
      const chosen = name === state.feature;
      const words = `Shade the text by ${model.label} ${i}`;
      return el(
        "button",
        {
          type: "button", class: "ft-follow", "aria-pressed": String(chosen), "aria-label": words,
          title: words, click: () => change({ feature: name }),
        },
        "shade"
      );
    };
    const answer = answers(async () => {
      const ids = await read();
      const at = position(ids);
      const shown = meta.models.filter(({ key }) => state.models.includes(key));
      const keys = shown.map(({ key }) => key);
      const asked = keys.map((key) => touch.ask([key], "read", key, ids, at, SHOWN));
      const followed = named(state.feature);
      const trace = touch.ask([followed.key], "trace", followed.key, ids, followed.number);
      const [acts, ...each] = await Promise.all([trace, ...asked]);
      const focused = picked.contains(document.activeElement);
      const choose = (i, focus) => {
        change({ at: i + 1 });
        if (focus) picked.focusNext = true;
      };
      picked.replaceChildren(
        el("p", { class: "ft-hint" }, "Shaded by ", link(followed, followed.number), "; choose a token:"),
        strip(ids.slice(1), acts.slice(1), followed.colour, { at: at - 1, choose })
      );
      if (focused || picked.focusNext) picked.querySelector("[aria-pressed=true]")?.focus();
      picked.focusNext = false;
      return [el("div", { class: "ft-columns" }, ...shown.map((model, i) => column(model, each[i], at)))];
    });
    return [textField("Your text"), choice, picked, answer];
  }

  // ---- Slide t.
  function slidePanel() {
    const { ends, marks } = meta.way;
    const [a, b] = ends.map((key) => meta.models.find((model) => model.key === key));
    const slider = el("input", {
      type: "range", min: 0, max: 1, step: 0.01, list: id(),
      input: () => change({ t: Number(slider.value) }),
    });
    const ticks = el("datalist", { id: slider.getAttribute("list") });
    ticks.append(...marks.map(({ t, name }) => el("option", { value: t, label: name })));
    const said = el("output", {});
    const toMark = marks.map(({ t, name }) =>
      el("button", { type: "button", click: () => change({ t }) }, `${name}: ${t.toFixed(2)}`)
    );
    const method = el("select", { change: () => change({ method: method.value }) });
    method.append(...["slerp", "linear"].map((name) => el("option", { value: name }, name)));
    views.push(() => {
      slider.value = state.t;
      method.value = state.method;
      const near = marks.filter(({ t }) => Math.abs(t - state.t) < 0.005).map(({ name }) => name);
      said.textContent = [`t = ${state.t.toFixed(2)}`, ...near].join(", ");
      slider.setAttribute("aria-valuetext", said.textContent);
    });
    const answer = answers(async () => {
      const ids = await read();
      const { t, method: way } = state;
      const followed = named(state.feature);
      const keys = [a.key, b.key, followed.key];
      const { loss, next, acts } = await touch.ask(
        keys, "way", a.key, b.key, way, t, ids, followed.key, followed.number, SHOWN
      );
      return [
        el("p", {}, "Loss on the text: ", el("strong", {}, fixed(loss, 3)), " nats per token."),
        nextTokens(next),
        el("p", { class: "ft-hint" }, link(followed, followed.number), " as its dictionary reads it here:"),
        strip(ids.slice(1), acts.slice(1), followed.colour),
      ];
    });
    return [
      textField("Text that is read"),
      labelled(`Weight t, from ${a.label} (0) to ${b.label} (1)`, slider),
      el("p", { class: "ft-marks" }, said, ...toMark),
      ticks,
      el("div", { class: "ft-fields" }, labelled("Way", method), ...featureField(meta.models)),
      answer,
    ];
  }

  // ---- Ablate and steer.
  function ablatePanel() {
    const slider = el("input", {
      type: "range", min: 0, max: 4, step: 0.1,
      input: () => change({ scale: Number(slider.value) }),
    });
    const said = el("output", {});
    views.push(() => {
      slider.value = state.scale;
      const words = { 0: "0, off", 1: "1, as it is" };
      said.textContent = words[state.scale] || `times ${state.scale}`;
      slider.setAttribute("aria-valuetext", said.textContent);
    });
    const answer = answers(async () => {
      const ids = await read();
      const at = position(ids);
      const { scale } = state;
      const one = named(state.feature);
      const edit = { feature: one.number, scale };
      const { moved, rows, active, acts } = await touch.ask(
        [one.key], "edit", one.key, ids, at, edit, ROWS
      );
      const here = acts[at] > 0
        ? `${percent(moved)} of the next token’s probability goes to other tokens.`
        : `It isn’t active on the token ${state.at ? "chosen" : "at the end"}, so nothing changes after it.`;
      const buttons = active.map((i) =>
        el("button", { type: "button", click: () => change({ feature: `${one.key}-${i}` }) }, String(i))
      );
      return [
        el("p", {}, link(one, one.number), ` times ${scale}: ${here}`),
        strip(ids.slice(1), acts.slice(1), one.colour),
        el("p", { class: "ft-marks" }, "Active there, strongest first: ", ...buttons),
        table(
          "Next tokens that change most",
          ["token", "as it is", "changed"],
          acts[at] > 0 && scale !== 1
            ? rows.map(([i, before, after]) => [chip(meta.vocab[i]), percent(before), percent(after)])
            : []
        ),
      ];
    });
    return [
      textField("Text that the model goes on from"),
      el("div", { class: "ft-fields" }, ...featureField(meta.models)),
      labelled("The feature’s activation times", slider),
      el("p", { class: "ft-marks" }, said),
      answer,
    ];
  }

  // ---- The start.
  const PANELS = { type: typePanel, slide: slidePanel, ablate: ablatePanel };

  /* Whether an address speaks of the models; the page's headings have addresses, too. */
  const speaks = (hash) => /^#(.*&)?(text|models|feature|t|scale)=/.test(hash);

  async function start() {
    const roots = [...document.querySelectorAll(".featrack-touch")];
    try {
      meta = await touch.begin();
    } catch (error) {
      for (const root of roots) root.textContent = error.message;
      return;
    }
    state.models = meta.models.map(({ key }) => key);
    state.feature = meta.way.feature || `${meta.models.at(-1).key}-0`;
    state.t = meta.way.t ?? 0.5;
    state.text = meta.way.text || SAMPLE;
    const follow = () => speaks(location.hash) && Object.assign(state, parsed(location.hash));
    follow();
    for (const root of roots) {
      const build = PANELS[root.dataset.panel];
      if (build) root.replaceChildren(...build());
    }
    /* A link that says what is shown leads to the control that it names, or to the first. */
    const lead = () => {
      if (!speaks(location.hash)) return;
      const panel = new URLSearchParams(location.hash.slice(1)).get("panel");
      const root = roots.find((one) => one.dataset.panel === panel) || roots[0];
      root.scrollIntoView({ behavior: "instant" });
    };
    window.addEventListener("hashchange", () => {
      if (follow()) change({});
      lead();
    });
    for (const show of views) show();
    lead();
  }
  start();
})();
