"use strict";
reader.start((index) => {
  const { el, text, badge, badges, outcome, options } = reader;
  const [rows, prompts, parts, families, perPage, [, , baseline], cells, pairs, metric] = index;
  const field = (id) => document.getElementById(id), pane = field("reader"), count = field("count");
  const everything = prompts.map((_, number) => number);
  const state = { a: 0, b: 0, prompt: null, raw: false };
  const METRIC = metric.replaceAll("_", " ");

  const sample = (row, prompt) => ({ preference: cells[row][0][prompt], score: cells[row][1][prompt], flags: cells[row][2][prompt], length: cells[row][3][prompt] });
  const value = (row, prompt) => {
    const { preference, score } = sample(row, prompt);
    if (metric === "win_rate") return preference;
    return score === null || metric === "mean_score" ? score : Number(score === 1);
  };
  const difference = (prompt) => {
    const a = value(state.a, prompt), b = value(state.b, prompt);
    return a === null || b === null ? null : a - b;
  };
  const finer = (prompt) => {
    const a = sample(state.a, prompt), b = sample(state.b, prompt);
    return a.score !== null && b.score !== null ? Math.abs(a.score - b.score) : a.preference !== null && b.preference !== null ? Math.abs(a.preference - b.preference) : 0;
  };

  const SHOW = {
    "": ["everything", () => true],
    differ: ["verdicts differ", (prompt) => Boolean(difference(prompt))],
    a: ["A better", (prompt) => difference(prompt) > 0],
    b: ["B better", (prompt) => difference(prompt) !== null && difference(prompt) < 0],
    same: ["no difference", (prompt) => difference(prompt) === 0],
    missing: ["one missing", (prompt) => difference(prompt) === null],
  };
  const ORDER = {
    "": ["differences first", (prompt) => -(10 * Math.abs(difference(prompt) ?? 0) + finer(prompt))],
    a: ["A's largest leads", (prompt) => -(difference(prompt) ?? -9)],
    b: ["B's largest leads", (prompt) => difference(prompt) ?? 9],
    benchmark: ["benchmark", null],
    length: ["largest difference in length", (prompt) => -Math.abs(sample(state.a, prompt).length - sample(state.b, prompt).length)],
  };

  const lead = (prompt) => {
    const found = difference(prompt);
    if (found === null) return badge("missing");
    return found === 0 ? badge("tie", "equal") : badge(found > 0 ? "a" : "b", found > 0 ? "A better" : "B better");
  };
  const describe = (prompt) => {
    const [id, part, family, excerpt] = prompts[prompt];
    return [el("span", { class: "excerpt", dir: "auto" }, excerpt || id), el("span", { class: "line" }, el("span", { class: "meta" }, [parts[part], families[family]].filter(Boolean).join(" · ")), lead(prompt))];
  };
  const select = (prompt, moved) => { state.prompt = prompt; items.mark(prompt); save(); render(moved); };
  const items = reader.list(describe, select);
  const save = () => reader.remember({
    a: rows[state.a][0], b: rows[state.b][0], part: field("part").value, show: field("show").value, order: field("order").value,
    q: field("q").value.trim(), prompt: state.prompt === null ? null : prompts[state.prompt][0],
  });

  // the difference of the two, as the board's comparison has it
  const signed = (number) => Math.abs(number) < 0.05 ? "0.0" : `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(1)}`;
  const paired = () => {
    const found = pairs.find(([a, b]) => (a === state.a && b === state.b) || (a === state.b && b === state.a));
    if (!found || found[3] === null) return null;
    const [a, , n, mean, low, high, p, significant] = found, sign = a === state.a ? 1 : -1;
    const ends = low === null || high === null ? null : [sign * low, sign * high].sort((x, y) => x - y);
    return { n, mean: sign * mean, ends, p, significant };
  };
  const summary = () => {
    const found = paired(), shared = everything.filter((prompt) => difference(prompt) !== null);
    const better = shared.filter((prompt) => difference(prompt) > 0).length, worse = shared.filter((prompt) => difference(prompt) < 0).length;
    const counts = el("p", { class: "meta" }, `${shared.length} prompts with both: A better on ${better}, equal on ${shared.length - better - worse}, B better on ${worse}.`);
    if (state.a === state.b) return field("summary").replaceChildren(el("p", { class: "meta" }, "Choose two different rows."));
    if (!found) return field("summary").replaceChildren(el("p", { class: "meta" }, "This board has no paired comparison of the two."), counts);
    const words = !found.significant ? "no difference shown" : found.mean > 0 ? "A is significantly better" : "B is significantly better";
    const p = found.p === null || found.p === undefined ? "" : `, p ${found.p < 0.001 ? "< 0.001" : `= ${found.p.toFixed(3)}`} (adjusted for all pairs of the board, Holm)`;
    return field("summary").replaceChildren(
      el("p", { class: "value" }, signed(found.mean), " ", el("span", {}, `points of ${METRIC}, A over B${found.ends ? ` · ${signed(found.ends[0])} to ${signed(found.ends[1])} (95 % interval of this pair alone)` : ""}`)),
      interval(found), el("p", {}, el("strong", {}, words), `${p}.`), counts);
  };
  const shape = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const interval = ({ mean, ends }) => {
    const most = 1.15 * Math.max(1, Math.abs(mean), ...(ends ?? []).map(Math.abs)), at = (value) => `${50 + (47 * value) / most}%`;
    const chart = shape("svg", { width: "100%", height: "26", role: "img", "aria-label": `difference ${signed(mean)} points` });
    chart.append(shape("line", { class: "rule", x1: "3%", x2: "97%", y1: 13, y2: 13 }), shape("line", { class: "base", x1: "50%", x2: "50%", y1: 0, y2: 26 }));
    if (ends) chart.append(shape("line", { class: "span", x1: at(ends[0]), x2: at(ends[1]), y1: 13, y2: 13 }));
    chart.append(shape("circle", { class: "dot", cx: at(mean), cy: 13, r: 5 }));
    return el("div", { class: `interval ${mean >= 0 ? "side-a" : "side-b"}` }, el("span", { "aria-hidden": "true" }, "B better"), chart, el("span", { "aria-hidden": "true" }, "A better"));
  };

  const told = (shown, rest = "") => { count.textContent = `${shown === prompts.length ? shown : `${shown} of ${prompts.length}`} prompts${rest}`; };
  const ordered = (found) => {
    const key = ORDER[field("order").value][1];
    if (!key) return found;
    const keys = new Map(found.map((prompt) => [prompt, key(prompt)]));
    return [...found].sort((a, b) => keys.get(a) - keys.get(b));
  };
  const fits = (prompt) => {
    if (field("part").value !== "" && parts[prompts[prompt][1]] !== field("part").value) return false;
    return SHOW[field("show").value][1](prompt) && (sample(state.a, prompt).flags >= 0 || sample(state.b, prompt).flags >= 0);
  };
  const refresh = () => {
    reader.stop();
    state.a = Number(field("a").value);
    state.b = Number(field("b").value);
    summary();
    relabel();
    const found = ordered(everything.filter(fits)), words = field("q").value.trim();
    save();
    if (!words) { items.show(found); told(found.length); return settle(found); }
    items.show([]);
    told(0, ", searching");
    let matched = [];
    reader.search(words, found, perPage, ["prompts", rows[state.a][1], rows[state.b][1]], (more, share) => {
      matched = matched.concat(more);
      items.add(more);
      told(matched.length, share < 1 ? `, searched ${Math.round(100 * share)} %` : "");
      if (share === 1) { items.show(ordered(matched)); settle(matched); }
    });
  };
  const relabel = () => {
    const value = field("show").value;
    options(field("show"), Object.entries(SHOW).map(([key, [name, keep]]) => {
      const total = key ? everything.filter(keep).length : 0;
      return [key, key ? `${name} (${total})` : name, Boolean(key) && !total && key !== value];
    }), value);
  };
  const settle = (found) => {
    if (found.length && !found.includes(state.prompt)) select(found[0], false);
    else if (found.length) { items.mark(state.prompt); render(false); }
    else pane.replaceChildren(el("p", { class: "cut" }, "No prompt matches."));
  };

  let drawn = 0;
  const render = async (moved) => {
    const mine = ++drawn, prompt = state.prompt, page = Math.floor(prompt / perPage), at = prompt % perPage;
    let texts;
    try { texts = await Promise.all(["prompts", rows[state.a][1], rows[state.b][1]].map((stem) => reader.load(`${stem}-${page}`))); } catch (error) {
      if (mine === drawn) pane.replaceChildren(el("p", { class: "notice", role: "alert" }, error.message));
      return;
    }
    if (mine !== drawn) return;
    const [asked, a, b] = texts.map((found) => found[at]);
    pane.replaceChildren(head(prompt), el("section", { class: "prompt" }, el("h3", {}, "Prompt"), text(asked, state.raw, "Prompt")),
      el("div", { class: "pair" }, answer("A", state.a, prompt, a), answer("B", state.b, prompt, b)));
    if (moved && reader.narrow()) { pane.scrollIntoView(); pane.focus({ preventScroll: true }); }
    pane.scrollTop = 0;
  };
  const head = (prompt) => {
    const [id, part, family] = prompts[prompt];
    const move = (step, name, sign) => {
      const next = items.neighbour(prompt, step);
      return el("button", { type: "button", class: "button", "aria-label": `${name} prompt`, disabled: next === undefined, onclick: () => select(next, false) }, sign);
    };
    return el("header", {}, el("h2", {}, el("bdi", {}, id)), el("p", { class: "meta" }, [parts[part], families[family]].filter(Boolean).join(" · ")), lead(prompt),
      el("div", { class: "tools" }, move(-1, "Previous", "←"), move(1, "Next", "→"),
        el("button", { type: "button", class: "button", id: "raw", "aria-pressed": String(state.raw), onclick: () => { state.raw = !state.raw; render(false).then(() => field("raw").focus()); } }, "Raw text")));
  };
  const answer = (side, row, prompt, entry) => {
    const cell = sample(row, prompt);
    return el("section", { class: `answer side-${side.toLowerCase()}` }, el("h3", {}, el("b", {}, side), " ", el("bdi", {}, rows[row][0])),
      cell.flags < 0 ? null : el("p", { class: "line" }, badges(cell.preference, cell.score, cell.flags), el("span", { class: "meta" }, `${cell.length.toLocaleString("en")} characters`)),
      text(entry, state.raw, `Completion of ${rows[row][0]}`), entry ? reader.verdicts(entry[5]) : null);
  };

  const apply = () => {
    const asked = reader.hash(), place = (value) => rows.findIndex(([name]) => name === value);
    const first = Math.max(rows.findIndex((_, row) => row !== baseline), 0);
    const a = place(asked.a) >= 0 ? place(asked.a) : first;
    const second = baseline >= 0 && baseline !== a ? baseline : Math.max(rows.findIndex((_, row) => row !== a), 0);
    const entries = rows.map(([name], number) => [String(number), name]);
    options(field("a"), entries, String(a));
    options(field("b"), entries, String(place(asked.b) >= 0 ? place(asked.b) : second));
    options(field("part"), [["", "all"], ...parts.filter(Boolean).map((name) => [name, name])], asked.part ?? "");
    options(field("show"), Object.entries(SHOW).map(([key, [name]]) => [key, name]), asked.show ?? "");
    options(field("order"), Object.entries(ORDER).map(([key, [name]]) => [key, name]), asked.order ?? "");
    field("q").value = asked.q ?? "";
    const prompt = prompts.findIndex(([id]) => id === asked.prompt);
    state.prompt = prompt < 0 ? null : prompt;
    refresh();
  };
  field("part").closest("label").hidden = parts.filter(Boolean).length < 2;
  field("filters").addEventListener("submit", (event) => event.preventDefault());
  field("filters").addEventListener("change", (event) => { if (event.target.id !== "q") refresh(); });
  field("swap").addEventListener("click", () => { [field("a").value, field("b").value] = [field("b").value, field("a").value]; refresh(); });
  field("q").addEventListener("input", reader.later(refresh, 200));
  addEventListener("hashchange", apply);
  apply();
});
