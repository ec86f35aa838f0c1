"use strict";
reader.start((index) => {
  const { el, text, badge, badges, outcome, options, TRUNCATED, EMPTY, MISSING, DISAGREEMENT } = reader;
  const [rows, prompts, parts, families, perPage, [baselineName, baselineStem, baseline], cells] = index;
  const field = (id) => document.getElementById(id), pane = field("reader"), count = field("count");
  const everything = prompts.map((_, number) => number);
  const state = { row: 0, prompt: null, raw: false };

  const sample = (row, prompt) => ({ preference: cells[row][0][prompt], score: cells[row][1][prompt], flags: cells[row][2][prompt], length: cells[row][3][prompt] });
  const chosen = () => state.row < 0 ? rows.map((_, row) => row) : [state.row];
  const present = (prompt) => chosen().map((row) => sample(row, prompt)).filter((cell) => cell.flags >= 0);
  const gap = (cell) => cell.preference === null ? null : cell.preference - 0.5;
  const extreme = (prompt, pick) => { const gaps = present(prompt).map(gap).filter((value) => value !== null); return gaps.length ? pick(...gaps) : null; };
  const length = (prompt) => Math.max(-1, ...present(prompt).map((cell) => cell.length));

  const SHOW = {
    "": ["everything", () => true],
    win: ["preferred to the baseline", (cell) => cell.preference > 0.5],
    loss: ["baseline preferred", (cell) => cell.preference !== null && cell.preference < 0.5],
    tie: ["ties", (cell) => cell.preference === 0.5],
    pass: ["passed", (cell) => cell.score === 1],
    fail: ["not passed", (cell) => cell.score !== null && cell.score < 1],
    disagree: ["orders disagree", (cell) => cell.flags & DISAGREEMENT],
    truncated: ["truncated", (cell) => cell.flags & TRUNCATED],
    empty: ["empty", (cell) => cell.flags & EMPTY],
    missing: ["verdict missing", (cell) => cell.flags & MISSING],
  };
  const ORDER = {
    "": ["benchmark", null],
    lead: ["largest lead over baseline", (prompt) => { const value = extreme(prompt, Math.max); return value === null ? 9 : -value; }],
    loss: ["largest loss to baseline", (prompt) => { const value = extreme(prompt, Math.min); return value === null ? 9 : value; }],
    long: ["longest completion", (prompt) => -length(prompt)],
    short: ["shortest completion", (prompt) => length(prompt) < 0 ? Infinity : length(prompt)],
  };

  const describe = (prompt) => {
    const [id, part, family, excerpt] = prompts[prompt];
    const found = state.row < 0 ? [tally(prompt)] : marks(state.row, prompt);
    return [el("span", { class: "excerpt", dir: "auto" }, excerpt || id), el("span", { class: "line" }, el("span", { class: "meta" }, [parts[part], families[family]].filter(Boolean).join(" · ")), found)];
  };
  // the baseline against itself is no tie worth showing
  const marks = (row, prompt) => { const { preference, score, flags } = sample(row, prompt); return badges(row === baseline ? null : preference, score, flags); };
  const tally = (prompt) => {
    const found = present(prompt), passed = found.filter((cell) => cell.score === 1).length;
    if (found.some((cell) => cell.score !== null)) return el("span", { class: "meta" }, `${passed} of ${found.length} rows pass`);
    const wins = found.filter((cell) => outcome(cell.preference) === "win").length;
    return el("span", { class: "meta" }, `${wins} of ${found.length} rows preferred`);
  };

  const select = (prompt, moved) => {
    state.prompt = prompt;
    items.mark(prompt);
    save();
    render(moved);
  };
  const items = reader.list(describe, select);

  const save = () => reader.remember({
    row: state.row < 0 ? "*" : rows[state.row][0], part: field("part").value, family: field("family").value,
    show: field("show").value, order: field("order").value, q: field("q").value.trim(), prompt: state.prompt === null ? null : prompts[state.prompt][0],
  });

  // the list
  const fits = (prompt) => {
    const [, part, family] = prompts[prompt], keep = SHOW[field("show").value][1];
    if (field("part").value !== "" && parts[part] !== field("part").value) return false;
    if (field("family").value !== "" && families[family] !== field("family").value) return false;
    return present(prompt).some(keep);
  };
  const ordered = (found) => {
    const key = ORDER[field("order").value][1];
    if (!key) return found;
    const keys = new Map(found.map((prompt) => [prompt, key(prompt)]));
    return [...found].sort((a, b) => keys.get(a) - keys.get(b));
  };
  const told = (shown, rest = "") => { count.textContent = `${shown === prompts.length ? shown : `${shown} of ${prompts.length}`} prompts${rest}`; };
  const refresh = () => {
    reader.stop();
    state.row = Number(field("row").value);
    relabel();
    const found = ordered(everything.filter(fits)), words = field("q").value.trim();
    save();
    if (!words) { items.show(found); told(found.length); return settle(found); }
    items.show([]);
    told(0, ", searching");
    const names = ["prompts", ...chosen().map((row) => rows[row][1])];
    let matched = [];
    reader.search(words, found, perPage, names, (more, share) => {
      matched = matched.concat(more);
      items.add(more);
      told(matched.length, share < 1 ? `, searched ${Math.round(100 * share)} %` : "");
      if (share === 1) { if (ORDER[field("order").value][1]) items.show(ordered(matched)); settle(matched); }
    });
  };
  const settle = (found) => {
    if (found.length && !found.includes(state.prompt)) select(found[0], false);
    else if (found.length) { items.mark(state.prompt); render(false); }
    else pane.replaceChildren(el("p", { class: "cut" }, "No prompt matches."));
  };
  const relabel = () => {
    const found = everything.flatMap(present), value = field("show").value;
    options(field("show"), Object.entries(SHOW).map(([key, [name, keep]]) => {
      const total = key ? found.filter(keep).length : 0;
      return [key, key ? `${name} (${total})` : name, Boolean(key) && !total && key !== value];
    }), value);
  };

  // the selected prompt
  let drawn = 0;
  const render = async (moved) => {
    const mine = ++drawn, prompt = state.prompt, page = Math.floor(prompt / perPage), at = prompt % perPage;
    const shown = chosen();
    const stems = ["prompts", ...shown.map((row) => rows[row][1]), ...(shown.length === 1 && shown[0] !== baseline ? [baselineStem] : [])];
    let texts;
    try { texts = await Promise.all(stems.map((stem) => reader.load(`${stem}-${page}`))); } catch (error) {
      if (mine === drawn) pane.replaceChildren(el("p", { class: "notice", role: "alert" }, error.message));
      return;
    }
    if (mine !== drawn) return;
    const [asked, ...answers] = texts.map((found) => found[at]);
    pane.replaceChildren(head(prompt), el("section", { class: "prompt" }, el("h3", {}, "Prompt"), text(asked, state.raw, "Prompt")), pairOf(prompt, shown, answers), strip(prompt));
    if (moved && reader.narrow()) pane.scrollIntoView();
    if (moved && reader.narrow()) pane.focus({ preventScroll: true });
    pane.scrollTop = 0;
  };
  const head = (prompt) => {
    const [id, part, family] = prompts[prompt];
    const move = (step, name, sign) => {
      const next = items.neighbour(prompt, step);
      return el("button", { type: "button", class: "button", "aria-label": `${name} prompt`, disabled: next === undefined, onclick: () => select(next, false) }, sign);
    };
    return el("header", {}, el("h2", {}, el("bdi", {}, id)), el("p", { class: "meta" }, [parts[part], families[family]].filter(Boolean).join(" · ")),
      el("div", { class: "tools" }, move(-1, "Previous", "←"), move(1, "Next", "→"),
        el("button", { type: "button", class: "button", id: "raw", "aria-pressed": String(state.raw), onclick: () => { state.raw = !state.raw; render(false).then(() => field("raw").focus()); } }, "Raw text")));
  };
  const answer = (name, entry, row, prompt, other) => {
    const cell = row < 0 || sample(row, prompt).flags < 0 ? null : sample(row, prompt);
    return el("section", { class: `answer${other ? " other" : ""}` },
    el("h3", {}, el("bdi", {}, name)),
    cell ? el("p", { class: "line" }, marks(row, prompt), el("span", { class: "meta" }, [entry?.[3] === null || entry?.[3] === undefined ? null : `${entry[3]} tokens`, `${cell.length.toLocaleString("en")} characters`].filter(Boolean).join(" · "))) : null,
    text(entry, state.raw, `Completion of ${name}`), entry && cell ? reader.verdicts(entry[5]) : null);
  };
  const pairOf = (prompt, shown, answers) => {
    if (shown.length > 1) return el("div", { class: "pair" }, shown.map((row, number) => answer(rows[row][0], answers[number], row, prompt, false)));
    const pair = [answer(rows[shown[0]][0], answers[0], shown[0], prompt, false)];
    if (shown[0] !== baseline) pair.push(answer(`${baselineName} (baseline)`, answers[1], baseline, prompt, true));
    return el("div", { class: "pair" }, pair);
  };
  const strip = (prompt) => state.row < 0 ? null : el("section", { class: "strip" }, el("h3", {}, "All rows on this prompt"), el("ul", {}, rows.map(([name], row) => {
    const { preference, score, flags } = sample(row, prompt);
    const shown = score !== null ? badge(score === 1 ? "pass" : "score", reader.percent(score)) : flags < 0 ? badge("missing", "none") : preference === null ? badge("missing") : badge(outcome(preference));
    return el("li", {}, el("button", { type: "button", "aria-current": row === state.row ? "true" : null, onclick: () => { field("row").value = String(row); refresh(); } }, el("bdi", {}, name), " ", shown));
  })));

  // what the address asks for, and changes of the form
  const apply = () => {
    const asked = reader.hash(), place = (list, value) => list.findIndex(([name]) => name === value);
    const first = Math.max(rows.findIndex((_, row) => row !== baseline), 0), named = place(rows, asked.row);
    const row = asked.row === "*" ? -1 : named >= 0 ? named : first;
    options(field("row"), [["-1", "all rows"], ...rows.map(([name], number) => [String(number), number === baseline ? `${name} (baseline)` : name])], String(row));
    options(field("part"), [["", "all"], ...parts.filter(Boolean).map((name) => [name, name])], asked.part ?? "");
    options(field("family"), [["", "all"], ...families.filter(Boolean).map((name) => [name, name])], asked.family ?? "");
    options(field("show"), Object.entries(SHOW).map(([key, [name]]) => [key, name]), asked.show ?? "");
    options(field("order"), Object.entries(ORDER).map(([key, [name]]) => [key, name]), asked.order ?? "");
    field("q").value = asked.q ?? "";
    const prompt = place(prompts, asked.prompt);
    state.prompt = prompt < 0 ? null : prompt;
    refresh();
  };
  for (const id of ["part", "family"]) field(id).closest("label").hidden = (id === "part" ? parts : families).filter(Boolean).length < 2;
  field("filters").addEventListener("submit", (event) => event.preventDefault());
  field("filters").addEventListener("change", (event) => { if (event.target.id !== "q") refresh(); });
  field("q").addEventListener("input", reader.later(refresh, 200));
  addEventListener("hashchange", apply);
  apply();
});
