"use strict";
reader.start((index) => {
  const { el, text, badge, badges, options } = reader;
  const [rows, prompts, parts, , , benchmarks] = index;
  let baseline = -1, metric = "", pairs = [];
  const state = { a: 0, b: 0 };

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
    const found = paired(), shared = everything().filter((prompt) => difference(prompt) !== null);
    const better = shared.filter((prompt) => difference(prompt) > 0).length, worse = shared.filter((prompt) => difference(prompt) < 0).length;
    const counts = el("p", { class: "meta" }, `${shared.length} prompts with both: A better on ${better}, equal on ${shared.length - better - worse}, B better on ${worse}.`);
    if (state.a === state.b) return field("summary").replaceChildren(el("p", { class: "meta" }, "Choose two different rows."));
    if (!found) return field("summary").replaceChildren(el("p", { class: "meta" }, "This board has no paired comparison of the two."), counts);
    const words = !found.significant ? "no difference shown" : found.mean > 0 ? "A is significantly better" : "B is significantly better";
    const p = found.p === null || found.p === undefined ? "" : `, p ${found.p < 0.001 ? "< 0.001" : `= ${found.p.toFixed(3)}`} (adjusted for all pairs of the board, Holm)`;
    return field("summary").replaceChildren(
      el("p", { class: "value" }, signed(found.mean), " ", el("span", {}, `points of ${metric.replaceAll("_", " ")}, A over B${found.ends ? ` · ${signed(found.ends[0])} to ${signed(found.ends[1])} (95 % interval of this pair alone)` : ""}`)),
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


  const answer = (side, row, prompt, entry, raw) => {
    const cell = sample(row, prompt);
    return el("section", { class: `answer side-${side.toLowerCase()}` }, el("h3", {}, el("b", {}, side), " ", el("bdi", {}, rows[row][0])),
      cell.flags < 0 ? null : el("p", { class: "line" }, badges(row === baseline ? null : cell.preference, cell.score, cell.flags), el("span", { class: "meta" }, `${cell.length.toLocaleString("en")} characters`)),
      text(entry, raw, `Completion of ${rows[row][0]}`), entry ? reader.verdicts(entry[5]) : null);
  };

  const { field, sample, refresh, counted, begin, everything } = view({
    index,
    controls: ["part", "show", "order"],
    read: () => {
      [, , , baseline, metric, pairs] = benchmarks[Number(field("benchmark").value)];
      Object.assign(state, { a: Number(field("a").value), b: Number(field("b").value) });
      summary();
      counted("show", SHOW, (keep) => everything().filter(keep).length);
    },
    named: () => ({ a: rows[state.a][0], b: rows[state.b][0] }),
    asked: (asked, benchmark) => {
      baseline = benchmarks[benchmark][3];
      const place = (name) => rows.findIndex(([other]) => other === name), other = (row) => Math.max(rows.findIndex((_, number) => number !== row), 0);
      const a = place(asked.a) >= 0 ? place(asked.a) : other(baseline);
      const b = place(asked.b) >= 0 ? place(asked.b) : baseline >= 0 && baseline !== a ? baseline : other(a);
      const entries = rows.map(([name], number) => [String(number), name]);
      options(field("a"), entries, String(a));
      options(field("b"), entries, String(b));
      options(field("show"), Object.entries(SHOW).map(([key, [name]]) => [key, name]), asked.show ?? "");
      options(field("order"), Object.entries(ORDER).map(([key, [name]]) => [key, name]), asked.order ?? "");
    },
    badges: lead,
    fits: (prompt) => (field("part").value === "" || parts[prompts[prompt][1]] === field("part").value)
      && SHOW[field("show").value][1](prompt) && (sample(state.a, prompt).flags >= 0 || sample(state.b, prompt).flags >= 0),
    key: () => ORDER[field("order").value][1],
    searched: () => [state.a, state.b],
    shown: () => [rows[state.a][1], rows[state.b][1]],
    draw: (prompt, [a, b], raw) => [el("div", { class: "pair" }, answer("A", state.a, prompt, a, raw), answer("B", state.b, prompt, b, raw))],
  });
  field("swap").addEventListener("click", () => { [field("a").value, field("b").value] = [field("b").value, field("a").value]; refresh(); });
  begin();
});
