/* A feature's page: what it fires on, how strongly, what it does, and what became of it. */
"use strict";
(() => {
  const explorer = (window.featrackExplorer = window.featrackExplorer || {});
  const { el } = explorer;
  const NEIGHBOURS = 8;

  /* Builds the page of a feature; contexts and effects follow when their file has come. */
  explorer.featurePage = (data, id, results, backTo) => {
    const { colour } = data.models[data.model[id]];
    const title = el("h2", { tabindex: "-1", class: "fx-title" }, explorer.modelSign(data, data.model[id]), explorer.nameOf(data, id));
    const details = el("div", { class: "fx-details", "aria-busy": "true" }, el("p", { class: "fx-hint" }, "Loading its contexts …"));
    const view = el(
      "article",
      { class: "fx-feature", "aria-label": explorer.nameOf(data, id), "--model": colour },
      steps(data, id, results, backTo),
      el("header", {}, title, badges(data, id), reading(data, id)),
      details
    );
    fill(data, id, details);
    return { view, title };
  };

  function steps(data, id, results, backTo) {
    const place = results.indexOf(id);
    const link = (to, words, sign) =>
      to === undefined
        ? el("span", { "aria-hidden": "true", class: "fx-off" }, sign)
        : el("a", { href: explorer.hashOf(data, to), "aria-label": `${words}: ${explorer.nameOf(data, to)}`, "data-step": words }, sign);
    return el(
      "nav",
      { class: "fx-steps", "aria-label": "List and neighbouring results" },
      el("a", { href: backTo, "data-step": "back" }, "← List"),
      place < 0
        ? ""
        : el(
            "span",
            { class: "fx-place" },
            link(results[place - 1], "Previous in the list", "↑"),
            ` ${explorer.count(place + 1)} of ${explorer.count(results.length)} `,
            link(results[place + 1], "Next in the list", "↓")
          )
    );
  }

  function badges(data, id) {
    const words = [data.meta.classes[data.cls[id]]];
    if (data.universal[id]) words.push("universal");
    if (data.main[id] >= 0) words.push(`mainly ${explorer.capital(data.meta.domains[data.main[id]])}`);
    return el("ul", { class: "fx-badges", "aria-label": "Kind" }, ...words.map((word) => el("li", {}, word)));
  }

  /* The explanation, and how well it does: where there is none, that is said. */
  function reading(data, id) {
    const text = explorer.part(data, id, "text");
    const detection = explorer.part(data, id, "det");
    const term = (name, hint, value) => el("div", { title: hint }, el("dt", {}, name), el("dd", {}, value));
    return el(
      "div",
      { class: "fx-reading" },
      el("p", { class: "fx-lede" }, text ? explorer.prose(text) : el("span", { class: "fx-hint" }, "No explanation was written for it.")),
      el("p", {}, explorer.chips(data, explorer.part(data, id, "top"))),
      el(
        "dl",
        { class: "fx-facts" },
        term("Density", "Share of the evaluation mix’s tokens on which it is active", explorer.percent(data.density[id])),
        term("Peak", "Its strongest activation", explorer.digits(data.peak[id])),
        term("Best r", "Correlation with its best partner in any other model", explorer.fixed(data.r[id], 3)),
        term("Simulation r", "Correlation of its activations with those that a reader of the explanation predicts", explorer.fixed(data.score[id], 2)),
        term("Detection", "Accuracy at telling its contexts from others by the explanation", explorer.fixed(detection, 2))
      )
    );
  }

  async function fill(data, id, place) {
    try {
      const detail = await explorer.details(data, id);
      place.replaceChildren(
        figures(data, id, detail),
        contexts(data, id, "Strongest contexts", "Each from another document, the strongest first.", detail.c),
        contexts(data, id, "Random contexts", "Drawn from every place where it fires, weak ones included.", detail.r),
        section("In the other models", el("p", { class: "fx-hint" }, `The feature of each model that goes with it best, over the same tokens; above r = ${data.meta.tau} it counts as a match.`), explorer.matchCards(data, id, detail)),
        ...neighbourhood(data, id)
      );
    } catch (error) {
      place.replaceChildren(el("p", { class: "fx-trouble", role: "alert" }, error.message));
    }
    place.removeAttribute("aria-busy");
  }

  const section = (title, ...children) => el("section", { class: "fx-section", "aria-label": title }, el("h3", {}, title), ...children);

  function figures(data, id, detail) {
    const { colour } = data.models[data.model[id]];
    const fires = detail.h.some((count) => count > 0);
    return el(
      "div",
      { class: "fx-row" },
      section("Density by domain", explorer.domainTable(data, id)),
      section(
        "Activations",
        fires
          ? el("figure", {}, explorer.histogram(detail.h, data.peak[id], colour), el("figcaption", { class: "fx-hint" }, "Tokens by activation (log scale); shades as below."))
          : el("p", { class: "fx-hint" }, "It fires on no token of the evaluation mix.")
      ),
      section("Effect on the next token", effects(data, detail))
    );
  }

  /* Tokens whose logits the decoder direction raises and lowers most. */
  function effects(data, { up, upv, down, downv }) {
    if (!up.length && !down.length) return el("p", { class: "fx-hint" }, "No effects were computed for it.");
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

  function contexts(data, id, title, hint, stored) {
    if (!stored.length) return section(title, el("p", { class: "fx-hint" }, "There are none."));
    const items = stored.map((one) => {
      const context = explorer.context(data.meta, one);
      const level = context.tokens[context.centre][1];
      return el(
        "li",
        {},
        el("span", { class: "fx-domain" }, explorer.capital(context.domain)),
        explorer.contextLine(context, data.peak[id], true),
        el("span", { class: "fx-number fx-act", title: "activation at the middle" }, explorer.digits((level / 255) * data.peak[id]))
      );
    });
    return section(title, el("p", { class: "fx-hint" }, hint), el("ol", { class: "fx-contexts" }, ...items));
  }

  function neighbourhood(data, id) {
    const near = explorer.neighbours(data, id, NEIGHBOURS);
    if (!near.length) return [];
    const items = near.map((other) =>
      el("li", {}, explorer.featureLink(data, other), " ", explorer.chips(data, explorer.part(data, other, "top").slice(0, 3)))
    );
    const hint = "Decoder directions of all models laid out by likeness; ringed: this feature, dotted: its matches.";
    return [
      section(
        "On the map",
        el("p", { class: "fx-hint" }, hint),
        el("div", { class: "fx-mapped" }, explorer.map(data, id), el("ol", { class: "fx-near", "aria-label": "Nearest features on the map" }, ...items))
      ),
    ];
  }
})();
