/* Starts the explorer and goes where its link says. */
"use strict";
(() => {
  const explorer = (window.featrackExplorer = window.featrackExplorer || {});
  const { el } = explorer;
  const SETTLED = 250; // milliseconds without a key before the address follows the search
  const root = document.getElementById("featrack-explorer");
  const title = document.title;

  async function start() {
    root.replaceChildren(el("p", { class: "fx-hint" }, "Loading the features …"));
    try {
      run(await explorer.open());
    } catch (error) {
      root.replaceChildren(el("p", { class: "fx-trouble", role: "alert" }, error.message));
    }
  }

  function run(data) {
    let state = { ...explorer.EMPTY };
    let selected = { ids: [], rows: [] };
    let stale = true; // the list doesn't show `state` yet
    let feature = null;
    let scrolled = 0;
    let timer = 0;
    let last = null; // the hash shown

    const controls = explorer.controls(data, change);
    const list = explorer.list(data, change);
    const notice = el("p", { class: "fx-trouble", role: "alert", hidden: true });
    const name = "Search the features";
    const listing = el("section", { "aria-label": name }, controls.form, list.view);
    const page = el("div", { hidden: true });
    root.replaceChildren(notice, listing, page);

    /* A change made on the page: shown at once; quiet ones don't make a step in the history. */
    function change(part, quiet = false) {
      state = { ...state, ...part };
      stale = true;
      showList();
      clearTimeout(timer);
      if (quiet) timer = setTimeout(settle, SETTLED);
      else address((hash) => (location.hash = hash));
      if (part.page > 1 && !quiet) listing.scrollIntoView({ behavior: "instant" });
    }

    function address(go) {
      clearTimeout(timer);
      const hash = explorer.listHash(state);
      if (feature !== null || hash === (location.hash || "#?")) return;
      last = hash;
      go(hash);
    }

    // The browser refuses an address for every move of a thumb; it gets one when they rest, or
    // just before the page is left.
    const settle = () => address((hash) => location.replace(hash));
    root.addEventListener("pointerdown", settle);

    function select() {
      if (stale) selected = explorer.select(data, state);
      return selected;
    }

    function showList(focused = null) {
      if (stale) {
        controls.show(state, select());
        list.show(state, selected);
        stale = false;
      }
      const back = !page.hidden;
      feature = null;
      notice.hidden = true;
      listing.hidden = false;
      page.hidden = true;
      page.replaceChildren();
      document.title = title;
      if (back) window.scrollTo({ top: scrolled, behavior: "instant" });
      if (focused !== null) list.focusOn(focused);
    }

    function showFeature(id) {
      if (page.hidden) scrolled = window.scrollY;
      feature = id;
      const shown = explorer.featurePage(data, id, select().rows, explorer.listHash(state));
      notice.hidden = true;
      listing.hidden = true;
      page.replaceChildren(shown.view);
      page.hidden = false;
      document.title = `${explorer.nameOf(data, id)} – ${title}`;
      shown.title.focus({ preventScroll: true });
      root.scrollIntoView({ behavior: "instant" });
    }

    function tell(words) {
      notice.textContent = words;
      notice.hidden = false;
    }

    /* Goes where the address says, unless it already shows what is seen. */
    function follow() {
      if (location.hash === last) return;
      // The page's own headings are scrolled to as ever.
      const view = explorer.parseHash(data, location.hash);
      if (view.elsewhere && last !== null) return;
      last = location.hash;
      clearTimeout(timer);
      if (view.feature !== undefined) return showFeature(view.feature);
      const from = feature;
      if (view.list) {
        const same = explorer.listHash(view.list) === explorer.listHash(state);
        stale ||= !same;
        state = view.list;
      }
      showList(from);
      if (view.trouble) tell(view.trouble);
      if (view.notes?.length) {
        tell(`The link asks for what isn’t there: ${view.notes.join(", ")}. The rest holds.`);
      }
      return undefined;
    }

    function step(name) {
      const link = page.querySelector(`[data-step="${name}"]`);
      if (!link) return;
      location.hash = link.hash;
      follow(); // before the next key
    }

    // Taken before the theme's own keys, which would open the book's search on `/`.
    document.addEventListener("keydown", onKey, true);
    function onKey(event) {
      const { target, key } = event;
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (key === "Enter") settle();
      const inside = root.contains(target);
      if (!inside && target !== document.body) return;
      const typing = target.matches?.("input:not([type=checkbox]), select, textarea");
      const action = typing ? typed(target, key) : pressed(inside, key);
      if (!action) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      action();
    }

    function typed(target, key) {
      if (target !== controls.search) return null;
      if (key === "ArrowDown" || key === "Enter") return () => list.edge(false);
      if (key === "Escape" && target.value) return () => change({ q: "", page: 1 }, true);
      return null;
    }

    function pressed(inside, key) {
      const down = key === "j" || (key === "ArrowDown" && inside);
      const up = key === "k" || (key === "ArrowUp" && inside);
      if (key === "/") return () => (showSearch(), controls.search.select());
      if (feature === null) {
        if (down || up) return () => list.move(down ? 1 : -1);
        if (inside && (key === "Home" || key === "End")) return () => list.edge(key === "End");
        if (inside && key === "c") return () => list.fold();
        if (inside && key === "Escape") return () => controls.search.focus();
        return null;
      }
      if (key === "Escape") return () => step("back");
      if (key === "j") return () => step("next");
      if (key === "k") return () => step("previous");
      return null;
    }

    function showSearch() {
      if (feature !== null) {
        showList();
        last = explorer.listHash(state);
        location.hash = last;
      }
      controls.search.focus();
    }

    window.addEventListener("hashchange", follow);
    follow();
    (window.requestIdleCallback || setTimeout)(() => explorer.prepare(data));
  }

  if (root) start();
})();
