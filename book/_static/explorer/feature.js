/* A feature's page: what it fires on, how strongly, what it does, and what became of it. */
"use strict";
(() => {
  const explorer = (window.featrackExplorer = window.featrackExplorer || {});
  const { el } = explorer;
  const NEIGHBOURS = 8;
  const COPIES = 12; // of a feature, named on its page
  const hint = (words) => el("p", { class: "fx-hint" }, words);

  /* Builds the page of a feature; contexts and effects follow when their file has come. */
  explorer.featurePage = (data, id, results, backTo) => {
    const { colour } = data.models[data.model[id]];
    const name = explorer.nameOf(data, id);
    const sign = explorer.modelSign(data, data.model[id]);
    const title = el("h2", { tabindex: "-1", class: "fx-title" }, sign, name);
    const details = el("div", { "aria-busy": "true" }, hint("Loading its contexts …"));
    const view = el(
      "article",
      { class: "fx-feature", "aria-label": name, "--model": colour },
      steps(data, id, results, backTo),
      el("header", {}, title, badges(data, id), reading(data, id)),
      ...tried(data, id),
      details
    );
    fill(data, id, details);
    return { view, title };
  };

  function steps(data, id, results, backTo) {
    const place = results.indexOf(id);
    const link = (to, step, sign) => {
      if (to === undefined) return el("span", { "aria-hidden": "true", class: "fx-off" }, sign);
      const label = `${explorer.capital(step)} in the list: ${explorer.nameOf(data, to)}`;
      const href = explorer.hashOf(data, to);
      return el("a", { href, "aria-label": label, "data-step": step }, sign);
    };
    const walk = el(
      "span",
      { class: "fx-place" },
      link(results[place - 1], "previous", "↑"),
      ` ${explorer.count(place + 1)} of ${explorer.count(results.length)} `,
      link(results[place + 1], "next", "↓")
    );
    return el(
      "nav",
      { class: "fx-steps", "aria-label": "List and neighbouring results" },
      el("a", { href: backTo, "data-step": "back" }, "← List"),
      place < 0 ? "" : walk
    );
  }

  function badges(data, id) {
    const words = [data.meta.classes[data.cls[id]]];
    if (data.universal[id]) words.push("universal");
    if (data.reproducible[id]) words.push("reproducible");
    else if (!Number.isNaN(data.own[id])) words.push("not reproducible");
    const main = data.meta.domains[data.main[id]];
    if (main) words.push(`mainly ${explorer.capital(main)}`);
    const items = words.map((word) => el("li", {}, word));
    return el("ul", { class: "fx-badges", "aria-label": "Kind" }, ...items);
  }

  /* The explanation, and how well it does: where there is none, that is said. */
  function reading(data, id) {
    const text = explorer.part(data, id, "text");
    const facts = [
      ["Density", explorer.percent(data.density[id]), "Share of all tokens on which it is active"],
      ["Peak", explorer.digits(data.peak[id]), "Its strongest activation"],
      ["Best r", explorer.fixed(data.r[id], 3), "Correlation with its best partner elsewhere"],
      [
        "Simulation r", explorer.fixed(data.score[id], 2),
        "Correlation of its activations with those that the explanation predicts",
      ],
    ];
    if (data.judged) {
      const title = "Best correlation in the other dictionaries of its own model, the least of them";
      facts.splice(3, 0, ["r to own other seed", explorer.fixed(data.own[id], 3), title]);
    }
    const lede = text ? explorer.prose(text) : el("span", { class: "fx-hint" }, UNREAD);
    const terms = facts.map(([name, value, title]) =>
      el("div", { title }, el("dt", {}, name), el("dd", {}, value))
    );
    return el(
      "div",
      { class: "fx-reading" },
      el("p", { class: "fx-lede" }, lede),
      el("p", {}, explorer.chips(data, explorer.part(data, id, "top"))),
      el("dl", { class: "fx-facts" }, ...terms),
      copies(data, id)
    );
  }

  /* Links to its copies. */
  function copies(data, id) {
    const others = explorer.copiesOf(data, id);
    if (!others.length) return "";
    const shown = others.slice(0, COPIES).flatMap((other) => [explorer.featureLink(data, other), " "]);
    const more = others.length > COPIES ? `and ${explorer.count(others.length - COPIES)} more` : "";
    const said = others.length > 1 ? `${explorer.count(others.length)} copies` : "A copy";
    const words = `${said} in its own dictionary (r > ${data.meta.tau}, perhaps by way of others): `;
    return el("p", { class: "fx-hint fx-twins" }, words, ...shown, more);
  }

  /* What the own other seed says about a feature without a match. */
  function judged(data, id) {
    if (Number.isNaN(data.own[id])) return "";
    const r = explorer.digits(data.own[id]);
    return data.reproducible[id]
      ? ` Other dictionaries of its own model have it as well: there its best r is at least ${r}.`
      : ` Another dictionary of its own model lacks it (best r ${r}), so a missing match says` +
          " nothing about the other model.";
  }

  const UNREAD = "No explanation was written for it.";

  async function fill(data, id, place) {
    try {
      const detail = await explorer.details(data, id);
      const partners =
        "The feature of each model whose activations go with it best, token by token; " +
        `above r = ${data.meta.tau} it counts as a match.${judged(data, id)}`;
      place.replaceChildren(
        figures(data, id, detail),
        contexts(data, id, STRONGEST, detail.c),
        contexts(data, id, RANDOM, detail.r),
        section("In the other models", hint(partners), explorer.matchCards(data, id, detail)),
        ...neighbourhood(data, id)
      );
    } catch (error) {
      place.replaceChildren(el("p", { class: "fx-trouble", role: "alert" }, error.message));
    }
    place.removeAttribute("aria-busy");
  }

  const STRONGEST = ["Strongest contexts", "Each from another document, the strongest first."];
  const RANDOM = ["Random contexts", "Drawn from every place where it fires, weak ones included."];

  /* How it fires on the reader's text, which the page of the models hands over in the address. */
  function tried(data, id) {
    if (!document.querySelector("#featrack-explorer[data-live]")) return [];
    const text = new URLSearchParams(location.search).get("text");
    const key = explorer.hashOf(data, id).slice(1);
    const parts = new URLSearchParams({ ...(text ? { text } : {}), feature: key });
    const link = el("a", { href: `live.html#${parts}`, class: "fx-try" }, "Try it on your text");
    if (!text) return [el("p", {}, link)];
    const line = el("p", { class: "fx-line fx-typed" }, "Reading your text …");
    typed(data, id, text, line);
    return [section("On your text", line, el("p", {}, link))];
  }

  const BESIDE = document.currentScript.src;

  function added(name) {
    return new Promise((resolve, reject) => {
      const src = new URL(`../touch/${name}.js`, BESIDE).href;
      const script = el("script", { src, load: resolve, error: reject });
      document.head.append(script);
    });
  }

  async function typed(data, id, text, line) {
    try {
      if (!window.featrackTouch?.ask) {
        await added("core");
        await added("client");
      }
      const { key, colour } = data.models[data.model[id]];
      const { bos, shape, vocab } = await window.featrackTouch.begin();
      // A model reads no more than one context.
      const read = await window.featrackTouch.ask([], "encode", text);
      const ids = [bos, ...read.slice(0, shape.context - 1)];
      const acts = await window.featrackTouch.ask([key], "trace", key, ids, data.number[id]);
      const most = Math.max(...acts, data.peak[id], 1e-9);
      const tokens = ids.slice(1).map((one, i) => {
        const level = acts[i + 1] / most;
        const title = level > 0 ? explorer.digits(acts[i + 1]) : null;
        const look = level > 0 ? { class: "fx-lit", "--level": level } : {};
        return el("span", { ...look, title }, explorer.token(vocab[one]));
      });
      line.style.setProperty("--model", colour);
      line.replaceChildren(...tokens);
    } catch (error) {
      line.textContent = error.message || "The models' files are missing: build the book again.";
    }
  }

  const section = (title, ...children) =>
    el("section", { class: "fx-section", "aria-label": title }, el("h3", {}, title), ...children);

  function figures(data, id, detail) {
    const { colour } = data.models[data.model[id]];
    const caption = "Tokens by activation (counts on a log scale), shaded as below.";
    const histogram = () =>
      el(
        "figure",
        {},
        explorer.histogram(detail.h, data.peak[id], colour),
        el("figcaption", { class: "fx-hint" }, caption)
      );
    const silent = hint("It fires on no token of the evaluation mix.");
    return el(
      "div",
      { class: "fx-row" },
      section("Density by domain", explorer.domainTable(data, id)),
      section("Activations", detail.h.some((count) => count > 0) ? histogram() : silent),
      section("Effect on the next token", effects(data, detail))
    );
  }

  /* Tokens whose logits the decoder direction raises and lowers most. */
  function effects(data, { up, upv, down, downv }) {
    if (!up.length && !down.length) return hint("None was computed for it.");
    const most = Math.max(...[...upv, ...downv].map(Math.abs), 1e-9);
    const column = (title, ids, values) =>
      el(
        "table",
        { class: "fx-figures fx-effects" },
        el("caption", {}, title),
        el(
          "tbody",
          {},
          ...ids.map((token, i) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, explorer.chip(data.meta.vocab[token])),
              el("td", { class: "fx-number" }, explorer.digits(values[i], 2)),
              el("td", { class: "fx-wide" }, explorer.bar(Math.abs(values[i]) / most))
            )
          )
        )
      );
    return el("div", { class: "fx-two" }, column("raises", up, upv), column("lowers", down, downv));
  }

  function contexts(data, id, [title, about], stored) {
    if (!stored.length) return section(title, hint("There are none."));
    const items = stored.map((one) => {
      const context = explorer.context(data.meta, one);
      const act = (context.tokens[context.centre][1] / 255) * data.peak[id];
      const title = "activation at the middle";
      return el(
        "li",
        {},
        el("span", { class: "fx-domain" }, explorer.capital(context.domain)),
        explorer.contextLine(context, data.peak[id], true),
        el("span", { class: "fx-number fx-act", title }, explorer.digits(act))
      );
    });
    return section(title, hint(about), el("ol", { class: "fx-contexts" }, ...items));
  }

  function neighbourhood(data, id) {
    const near = explorer.neighbours(data, id, NEIGHBOURS);
    if (!near.length) return [];
    const items = near.map((other) => {
      const chips = explorer.chips(data, explorer.part(data, other, "top").slice(0, 3));
      return el("li", {}, explorer.featureLink(data, other), " ", chips);
    });
    const about =
      "Decoder directions of all models, alike ones near each other. The large dot is this " +
      "feature, the middling ones are its best matches; the list names its nearest neighbours.";
    const list = el("ol", { class: "fx-near", "aria-label": "Nearest on the map" }, ...items);
    const both = el("div", { class: "fx-mapped" }, explorer.map(data, id), list);
    return [section("On the map", hint(about), both)];
  }
})();
