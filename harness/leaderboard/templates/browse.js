"use strict";
reader.start((index) => {
  const { el, text, badge, badges, outcome, options, TRUNCATED, EMPTY, MISSING, DISAGREEMENT } = reader;
  const [rows, prompts, parts, families, , benchmarks] = index;
  let chosenRow = 0, baselineName = "", baselineStem = "", baseline = -1;

  const chosen = () => chosenRow < 0 ? rows.map((_, row) => row) : [chosenRow];
  const present = (prompt) => chosen().map((row) => sample(row, prompt)).filter((cell) => cell.flags >= 0);
  const gaps = (prompt) => present(prompt).filter((cell) => cell.preference !== null).map((cell) => cell.preference - 0.5);
  const length = (prompt) => Math.max(-1, ...present(prompt).map((cell) => cell.length));
  const last = (value) => Number.isFinite(value) ? value : Infinity;

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
    lead: ["largest lead over baseline", (prompt) => last(-Math.max(...gaps(prompt)))],
    loss: ["largest loss to baseline", (prompt) => last(Math.min(...gaps(prompt)))],
    long: ["longest completion", (prompt) => -length(prompt)],
    short: ["shortest completion", (prompt) => length(prompt) < 0 ? Infinity : length(prompt)],
  };

  // the baseline against itself is no tie worth showing
  const marks = (row, prompt) => { const { preference, score, flags } = sample(row, prompt); return badges(row === baseline ? null : preference, score, flags); };
  const tally = (prompt) => {
    const found = present(prompt), passed = found.filter((cell) => cell.score === 1).length;
    if (found.some((cell) => cell.score !== null)) return `${passed} of ${found.length} rows pass`;
    return `${found.filter((cell) => outcome(cell.preference) === "win").length} of ${found.length} rows preferred`;
  };
  const fits = (prompt) => {
    const [, part, family] = prompts[prompt];
    if (field("part").value !== "" && parts[part] !== field("part").value) return false;
    if (field("family").value !== "" && families[family] !== field("family").value) return false;
    return present(prompt).some(SHOW[field("show").value][1]);
  };

  const answer = (name, entry, row, prompt, other) => {
    const cell = row < 0 || sample(row, prompt).flags < 0 ? null : sample(row, prompt);
    const size = cell && [entry?.[3] === null || entry?.[3] === undefined ? null : `${entry[3]} tokens`, `${cell.length.toLocaleString("en")} characters`];
    return (raw) => el("section", { class: `answer${other ? " other" : ""}` }, el("h3", {}, el("bdi", {}, name)),
      cell ? el("p", { class: "line" }, marks(row, prompt), el("span", { class: "meta" }, size.filter(Boolean).join(" · "))) : null,
      text(entry, raw, `Completion of ${name}`), entry && cell ? reader.verdicts(entry[5]) : null);
  };
  const draw = (prompt, answers, raw) => {
    const shown = chosen(), found = shown.map((row, number) => answer(rows[row][0], answers[number], row, prompt, false));
    if (shown.length === 1 && shown[0] !== baseline) found.push(answer(`${baselineName} (baseline)`, answers[1], baseline, prompt, true));
    return [el("div", { class: "pair" }, found.map((section) => section(raw))), ...(chosenRow < 0 ? [] : [strip(prompt)])];
  };
  const strip = (prompt) => el("section", { class: "strip" }, el("h3", {}, "All rows on this prompt"), el("ul", {}, rows.map(([name], row) => {
    const { preference, score, flags } = sample(row, prompt);
    const shown = flags < 0 ? badge("missing", "none") : score !== null ? badge(score === 1 ? "pass" : "score", reader.percent(score)) : preference === null ? badge("missing") : badge(outcome(preference));
    return el("li", {}, el("button", { type: "button", "aria-current": row === chosenRow ? "true" : null, onclick: () => { field("row").value = String(row); refresh(); } }, el("bdi", {}, name), " ", shown));
  })));

  const { field, sample, refresh, counted, begin, everything } = view({
    index,
    controls: ["part", "family", "show", "order"],
    read: () => {
      chosenRow = Number(field("row").value);
      [, baselineName, baselineStem, baseline] = benchmarks[Number(field("benchmark").value)];
      const found = everything().flatMap(present);
      counted("show", SHOW, (keep) => found.filter(keep).length);
    },
    named: () => ({ row: chosenRow < 0 ? "*" : rows[chosenRow][0] }),
    asked: (asked, benchmark) => {
      baseline = benchmarks[benchmark][3];
      const named = rows.findIndex(([name]) => name === asked.row), first = Math.max(rows.findIndex((_, row) => row !== baseline), 0);
      const row = asked.row === "*" ? -1 : named >= 0 ? named : first;
      options(field("row"), [["-1", "all rows"], ...rows.map(([name], number) => [String(number), number === baseline ? `${name} (baseline)` : name])], String(row));
      options(field("family"), [["", "all"], ...families.filter(Boolean).map((name) => [name, name])], asked.family ?? "");
      options(field("show"), Object.entries(SHOW).map(([key, [name]]) => [key, name]), asked.show ?? "");
      options(field("order"), Object.entries(ORDER).map(([key, [name]]) => [key, name]), asked.order ?? "");
    },
    badges: (prompt) => chosenRow < 0 ? el("span", { class: "meta" }, tally(prompt)) : marks(chosenRow, prompt),
    fits,
    key: () => ORDER[field("order").value][1],
    searched: chosen,
    shown: () => [...chosen().map((row) => rows[row][1]), ...(chosenRow >= 0 && chosenRow !== baseline ? [baselineStem] : [])],
    draw,
  });
  field("family").closest("label").hidden = families.filter(Boolean).length < 2;
  begin();
});
