/* Elements and tokens: all text enters the page as text nodes, and no character stays unseen. */
"use strict";
(() => {
  const explorer = (window.featrackExplorer = window.featrackExplorer || {});
  const NAMED = { "\n": "⏎", "\r": "␍", "\t": "⇥", " ": "·", "\u00a0": "⍽" };
  // Categories that show nothing of their own, or that reorder what stands beside them.
  const INVISIBLE = /[\p{C}\p{Z}]/u;
  const BYTE = /^⟨0x[0-9A-F]{2}⟩$/;
  const SVG = "http://www.w3.org/2000/svg";
  const LONGEST = 32; // characters shown of a token

  function filled(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else if (name.startsWith("--")) element.style.setProperty(name, value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== null && value !== false) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  /* An element with attributes, listeners (functions), CSS variables (--name) and children. */
  explorer.el = (tag, attributes = {}, ...children) =>
    filled(document.createElement(tag), attributes, children);
  explorer.svg = (tag, attributes = {}, ...children) =>
    filled(document.createElementNS(SVG, tag), attributes, children);

  /* A printable stand-in for a character that would show nothing, else the character itself. */
  explorer.visible = (character) => {
    if (character in NAMED) return NAMED[character];
    const code = character.codePointAt(0);
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "␡";
    if (INVISIBLE.test(character)) {
      return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    }
    return character;
  };

  /* A text with signs for what can't be seen, spaces apart, as a plain string. */
  explorer.signs = (text) =>
    Array.from(text, (c) => (c === " " ? c : explorer.visible(c))).join("");

  const mark = (sign) => explorer.el("span", { class: "fx-mark" }, sign);

  /* Text nodes and marks of a piece of text; `keep` are characters left as they are. */
  function pieces(text, keep) {
    const nodes = [];
    let plain = "";
    for (const character of text) {
      const sign = keep === character ? character : explorer.visible(character);
      if (sign === character) {
        plain += character;
        continue;
      }
      if (plain) nodes.push(plain);
      plain = "";
      nodes.push(mark(sign));
    }
    if (plain) nodes.push(plain);
    return nodes;
  }

  /* A token inside running text: a single space before a word stays a space, for the rhythm. */
  explorer.token = (whole) => {
    const bdi = explorer.el("bdi");
    const text = cut(whole);
    if (!text || BYTE.test(text)) {
      bdi.append(mark(text || "∅"));
      return bdi;
    }
    const core = text.replace(/^ +| +$/g, "");
    const before = text.length - text.replace(/^ +/, "").length;
    const after = text.length - before - core.length;
    bdi.append(...(core && before === 1 ? [" "] : pieces(" ".repeat(before))));
    if (/^\p{M}/u.test(core)) bdi.append("◌");
    bdi.append(...pieces(core, " "), ...pieces(" ".repeat(after)));
    if (text !== whole) bdi.append(mark("…"));
    return bdi;
  };

  /* A token by itself: every space is shown, and a long one is cut. */
  explorer.chip = (whole) => {
    const text = cut(whole);
    const bdi = explorer.el("bdi");
    if (!text || BYTE.test(text)) bdi.append(mark(text || "∅"));
    else bdi.append(/^\p{M}/u.test(text) ? "◌" : "", ...pieces(text));
    const title = text === whole ? null : explorer.signs(whole);
    return explorer.el("code", { class: "fx-chip", title }, bdi, title ? mark("…") : "");
  };

  /* A token is a word or two; what goes on and on would push everything else off the screen. */
  function cut(text) {
    if (text.length <= LONGEST) return text;
    return Array.from(text).slice(0, LONGEST).join("");
  }

  explorer.chips = (data, ids) =>
    ids.length
      ? explorer.el(
          "span",
          { class: "fx-chips" },
          ...ids.flatMap((id) => [explorer.chip(data.meta.vocab[id]), " "])
        )
      : explorer.undefinedSign("fires on no token");

  /* Foreign prose, such as an explanation: isolated, its controls and runs of spaces shown. */
  explorer.prose = (text) => {
    const parts = text.split(/( {2,})/).flatMap((part, i) => pieces(part, i % 2 ? "" : " "));
    return explorer.el("bdi", {}, ...parts);
  };

  /* A dash for what is not defined, said in words to those who listen. */
  explorer.undefinedSign = (words = "not defined") =>
    explorer.el(
      "span",
      { class: "fx-undefined" },
      explorer.el("span", { "aria-hidden": "true" }, "–"),
      explorer.el("span", { class: "fx-unseen" }, words)
    );

  const COUNT = new Intl.NumberFormat("en");
  explorer.count = (value) => COUNT.format(value);

  const minus = (text) => text.replace("-", "−");
  explorer.fixed = (value, digits) =>
    value === null || Number.isNaN(value) ? explorer.undefinedSign() : minus(value.toFixed(digits));
  explorer.digits = (value, digits = 3) => {
    const power = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
    return minus(value.toFixed(Math.min(8, Math.max(0, digits - 1 - power))));
  };
  /* A share of tokens in per cent, three significant digits. */
  explorer.percent = (share) =>
    share === 0 ? "0 %" : `${explorer.digits(100 * share, 2)}\u00a0%`;

  /* A model's name behind its colour. */
  explorer.modelSign = (data, model) =>
    explorer.el("span", {
      class: "fx-dot", "aria-hidden": "true", "--model": data.models[model].colour,
    });

  /* A feature's class, and whether it is universal, in words. */
  explorer.kind = (data, id) =>
    data.meta.classes[data.cls[id]] + (data.universal[id] ? ", universal" : "");

  /* The sign of a feature that other dictionaries of its own model have, too, or nothing. */
  explorer.reproducibleSign = (data, id) =>
    data.reproducible[id]
      ? explorer.el(
          "span",
          { class: "fx-again", title: "Other dictionaries of its own model have it, too" },
          "reproducible"
        )
      : "";

  explorer.featureLink = (data, id, attributes = {}) =>
    explorer.el(
      "a",
      { href: explorer.hashOf(data, id), class: "fx-name", ...attributes },
      explorer.modelSign(data, data.model[id]),
      explorer.nameOf(data, id)
    );
})();
