/* What became of a feature in the other models, side by side, with their own contexts. */
"use strict";
(() => {
  const explorer = (window.featrackExplorer = window.featrackExplorer || {});
  const { el } = explorer;
  const SHOWN = 3; // contexts of a match
  const NEAR = 8; // positions between two contexts that are one place of the text

  /* One context as a line whose strongest token is underlined; levels are shades of --model. */
  explorer.contextLine = (context, peak, aligned) => {
    const levels = context.tokens.map(([, level]) => level);
    const strongest = levels.indexOf(Math.max(...levels));
    const spans = context.tokens.map(([text, level], i) => {
      if (!level) return el("span", {}, explorer.token(text));
      const classes = i === strongest ? "fx-lit fx-strongest" : "fx-lit";
      const title = explorer.digits((level / 255) * peak);
      return el("span", { class: classes, title, "--level": level / 255 }, explorer.token(text));
    });
    if (!aligned) return el("span", { class: "fx-line" }, ...spans);
    return el(
      "span",
      { class: "fx-line fx-aligned" },
      el("span", { class: "fx-before" }, el("span", {}, ...spans.slice(0, context.centre))),
      el("span", { class: "fx-after" }, ...spans.slice(context.centre))
    );
  };

  /* Cards of the matches; each loads its model's contexts by itself. */
  explorer.matchCards = (data, id, detail) =>
    el(
      "div",
      { class: "fx-cards" },
      ...explorer.matches(data, id).map((match) => card(data, id, match, detail))
    );

  function card(data, id, match, detail) {
    const { label, colour } = data.models[match.model];
    const kinship = explorer.kinship(data, data.model[id], match.model);
    const relation = kinship ? el("span", { class: "fx-hint" }, ` ${kinship}`) : "";
    const box = el("section", {
      class: "fx-card", "aria-label": `Best match in ${label}`, "--model": colour,
    });
    if (match.id === null) {
      const why = `No match: it fires too rarely to be compared with features of ${label}.`;
      box.append(
        el("h4", {}, explorer.modelSign(data, match.model), label, relation),
        el("p", { class: "fx-hint" }, why)
      );
      return box;
    }
    const text = explorer.part(data, match.id, "text");
    const held = match.r > data.meta.tau;
    box.append(
      el("h4", {}, explorer.featureLink(data, match.id), relation),
      el(
        "p",
        { class: "fx-rline" },
        el("span", { class: "fx-rvalue" }, "r = ", explorer.fixed(match.r, 3)),
        explorer.bar(match.r ?? 0, { class: "fx-bar fx-rbar", "--tau": `${100 * data.meta.tau}%` }),
        el("span", { class: "fx-verdict" }, held ? "matched" : `below ${data.meta.tau}`)
      ),
      el(
        "p",
        { class: "fx-class" },
        explorer.kind(data, match.id), " ",
        explorer.reproducibleSign(data, match.id)
      ),
      text ? el("p", { class: "fx-text" }, explorer.prose(text)) : "",
      el("p", {}, explorer.chips(data, explorer.part(data, match.id, "top")))
    );
    const waiting = el("p", { class: "fx-hint" }, "Loading its contexts …");
    const place = el("div", { "aria-busy": "true" }, waiting);
    box.append(place);
    fill(data, match.id, place, detail);
    return box;
  }

  async function fill(data, id, place, detail) {
    try {
      const own = await explorer.details(data, id);
      const lines = own.c.slice(0, SHOWN).map((stored) => {
        const context = explorer.context(data.meta, stored);
        return el("li", {}, explorer.contextLine(context, data.peak[id], false));
      });
      place.replaceChildren(el("ol", { class: "fx-lines" }, ...lines), shared(data, own, detail));
    } catch (error) {
      place.replaceChildren(el("p", { class: "fx-trouble" }, error.message));
    }
    place.removeAttribute("aria-busy");
  }

  /* How many of the match's strongest contexts are places of the text shown above, too. */
  function shared(data, theirs, ours) {
    const block = (position) => Math.floor(position / data.meta.width);
    const same = theirs.c.filter(([there]) =>
      ours.c.some(([here]) => block(here) === block(there) && Math.abs(here - there) <= NEAR)
    ).length;
    const words = same
      ? `${same} of its ${theirs.c.length} strongest contexts: the same places as above.`
      : "None of its strongest contexts is a place shown above.";
    return el("p", { class: "fx-hint" }, words);
  }
})();
