"use strict";
// What the pages of texts share: loading, elements, Markdown, the list of prompts, full-text search.
// Nothing here makes HTML from a text: elements are made one by one, and the page's policy forbids the rest.
const reader = (() => {
  const TRUNCATED = 1, EMPTY = 2, MISSING = 4, DISAGREEMENT = 8, ERROR = 16;

  // A page opened from a disk may run a script beside it but not fetch, so data are scripts that call bridgebench().
  const waiting = new Map(), loaded = new Map(), KEPT = 120;
  window.bridgebench = (name, data) => waiting.get(name)?.(data);
  const rules = {
    createScriptURL: (address) => {
      if (!/^pages\/[A-Za-z0-9._@%-]+\.js$/.test(address)) throw new TypeError(`not a page of this board: ${address}`);
      return address;
    },
  };
  const policy = window.trustedTypes ? trustedTypes.createPolicy("bridgebench", rules) : rules;
  const load = (name) => {
    if (!loaded.has(name)) {
      if (loaded.size >= KEPT) loaded.delete([...loaded.keys()].find((old) => !waiting.has(old)));
      loaded.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        const done = (then, value) => { waiting.delete(name); script.remove(); then(value); };
        waiting.set(name, (data) => done(resolve, data));
        const fail = () => { loaded.delete(name); done(reject, new Error(`pages/${name}.js could not be loaded`)); };
        script.onerror = fail;
        script.onload = () => { if (waiting.has(name)) fail(); };
        script.src = policy.createScriptURL(`pages/${encodeURIComponent(name)}.js`);
        document.head.append(script);
      }));
    }
    return loaded.get(name);
  };

  const el = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") made.addEventListener("click", value);
      else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return made;
  };

  // Markdown, from the tree made when the board was built
  const PLAIN = new Set(["p", "blockquote", "ul", "li", "em", "strong", "s", "thead", "tbody", "tr", "th", "td", "code", "br", "hr"]);
  const BLOCKS = new Set(["p", "blockquote", "ul", "ol", "li", "td", "th"]);
  const node = (tree) => {
    if (typeof tree === "string") return tree;
    const [tag, ...children] = tree;
    if (tag === "a") return link(children[0], children.slice(1));
    if (tag === "ol") return el("ol", { start: children[0], dir: "auto" }, children.slice(1).map(node));
    if (tag === "pre") return el("pre", {}, el("code", {}, children.map(node)));
    if (tag === "table") return el("div", { class: "md-table" }, el("table", {}, children.map(node)));
    if (/^h[1-6]$/.test(tag)) return el("p", { class: `md-head ${tag}`, dir: "auto" }, children.map(node));
    if (!PLAIN.has(tag)) return children.map(node);
    return el(tag, BLOCKS.has(tag) ? { dir: "auto" } : {}, children.map(node));
  };
  const link = (address, children) => /^https?:\/\//i.test(address)
    ? el("a", { href: address, rel: "noopener noreferrer nofollow", target: "_blank", title: address }, children.map(node))
    : el("span", {}, children.map(node));

  // [text, tree or 0, length if cut]
  const text = (entry, raw, label) => {
    if (!entry) return el("p", { class: "cut" }, "not stored");
    const [source, tree, cut] = entry;
    const shown = !source.trim() ? el("p", { class: "cut" }, "empty")
      : raw ? el("pre", { class: "raw", dir: "auto" }, source)
      : tree ? el("div", { class: "md" }, tree.flatMap((part) => node(part)))
      : el("div", { class: "md as-is", dir: "auto" }, source);
    const box = el("div", { class: "text-box", tabindex: "0", role: "region", "aria-label": label }, shown);
    return cut ? [box, el("p", { class: "cut" }, `cut for display: ${cut.toLocaleString("en")} characters in all`)] : box;
  };

  const percent = (value) => String(Math.round(value * 100) / 100);
  const outcome = (preference) => preference === null ? "" : preference > 0.5 ? "win" : preference < 0.5 ? "loss" : "tie";
  const badge = (kind, words = kind) => el("span", { class: `badge ${kind}` }, words);
  const badges = (preference, score, flags) => [
    flags & MISSING ? badge("missing") : preference === null ? null : badge(outcome(preference)),
    score === null ? null : badge(score === 1 ? "pass" : "score", `score ${percent(score)}`),
    flags & DISAGREEMENT ? badge("warn", "orders disagree") : null,
    flags & TRUNCATED ? badge("warn", "truncated") : null,
    flags & EMPTY ? badge("warn", "empty") : null,
    flags & ERROR ? badge("missing", "engine error") : null,
  ];

  const number = (value) => value === null || value === undefined ? "–" : String(Math.round(value * 1000) / 1000);
  const verdicts = (lines) => {
    if (!lines.length) return null;
    const line = ([order, label, preference, score, said, error]) => el("div", { class: "verdict" },
      el("p", {}, el("strong", {}, order || "verdict"), " ",
        label ? el("span", { class: "meta" }, `label ${label} `) : null,
        preference === null ? badge("missing", error ? `missing: ${error}` : "missing") : badge(outcome(preference), `${outcome(preference)} ${number(preference)}`),
        score === null ? null : el("span", { class: "meta" }, ` score ${number(score)}`)),
      said ? el("details", { class: "inner" }, el("summary", {}, "Judge's text"), el("pre", { class: "raw", dir: "auto", tabindex: "0" }, said)) : null);
    return el("section", { class: "verdicts" }, el("h3", {}, lines.length > 1 ? "Verdicts, one per order" : "Verdict"), lines.map(line));
  };

  const options = (select, entries, value) => {
    select.replaceChildren(...entries.map(([key, name, off]) => el("option", { value: key, disabled: off }, name)));
    select.value = value;
    if (select.selectedIndex < 0) select.selectedIndex = 0;
  };

  const hash = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const remember = (state) => {
    const kept = Object.entries(state).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    history.replaceState(null, "", `#${kept.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&")}`);
  };

  // A list of prompts that shows 100 more at a time; arrow keys move in it.
  const list = (describe, choose) => {
    const body = document.getElementById("list"), more = document.getElementById("more"), STEP = 100;
    let items = [], shown = 0, current = -1;
    const item = (index) => {
      const button = el("button", { type: "button", "data-prompt": index, "aria-current": index === current ? "true" : null }, describe(index));
      return el("li", {}, button);
    };
    const extend = () => {
      body.append(...items.slice(shown, shown + STEP).map(item));
      shown = Math.min(items.length, shown + STEP);
      label();
    };
    const label = () => {
      more.hidden = shown >= items.length;
      more.textContent = `Show ${Math.min(STEP, items.length - shown)} more of ${items.length - shown}`;
    };
    const mark = (index) => {
      current = index;
      for (const button of body.querySelectorAll("button")) {
        if (Number(button.dataset.prompt) === index) button.setAttribute("aria-current", "true");
        else button.removeAttribute("aria-current");
      }
    };
    const focus = (target) => { if (target) target.focus(); };
    more.addEventListener("click", () => { const at = shown; extend(); focus(body.children[at]?.firstChild); });
    body.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) choose(Number(button.dataset.prompt), true);
    });
    body.addEventListener("keydown", (event) => {
      const here = event.target.closest("li");
      const next = { ArrowDown: here?.nextSibling, ArrowUp: here?.previousSibling, Home: body.firstChild, End: body.lastChild }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      focus(next?.firstChild);
    });
    return {
      show: (found) => { items = found; shown = 0; body.replaceChildren(); extend(); },
      add: (found) => { items = items.concat(found); if (shown < STEP) extend(); else label(); },
      mark,
      neighbour: (index, step) => items[items.indexOf(index) + step],
    };
  };

  // Search in texts, page by page, so that a large board answers while it still loads.
  let running = 0;
  const search = async (words, indices, perPage, names, told) => {
    const mine = ++running, wanted = words.toLowerCase(), pages = new Map();
    for (const index of indices) {
      const page = Math.floor(index / perPage);
      if (!pages.has(page)) pages.set(page, []);
      pages.get(page).push(index);
    }
    let read = 0;
    if (!pages.size) told([], 1);
    const matches = (entry) => entry && (entry[0].toLowerCase().includes(wanted)
      || (entry[5] ?? []).some((verdict) => verdict[4].toLowerCase().includes(wanted) || verdict[1].toLowerCase().includes(wanted)));
    for (const [page, inside] of pages) {
      let texts;
      try { texts = await Promise.all(names.map((name) => load(`${name}-${page}`))); } catch (error) {
        document.getElementById("count").textContent = error.message;
        return;
      }
      if (mine !== running) return;
      told(inside.filter((index) => texts.some((found) => matches(found[index % perPage]))), ++read / pages.size);
    }
  };
  const stop = () => { running += 1; };

  const later = (what, wait) => { let timer; return () => { clearTimeout(timer); timer = setTimeout(what, wait); }; };
  const start = (ready) => {
    const browser = document.getElementById("browser");
    load("index").then((index) => { browser.hidden = false; ready(index); }).catch((error) => {
      browser.hidden = true;
      browser.before(el("p", { class: "notice", role: "alert" }, `The texts of this board could not be shown: ${error.message}.`));
    });
  };
  const narrow = () => matchMedia("(max-width: 60rem)").matches;

  return { TRUNCATED, EMPTY, MISSING, DISAGREEMENT, ERROR, load, el, text, badge, badges, outcome, percent, verdicts, options, hash, remember, list, search, stop, later, start, narrow };
})();
