"use strict";
// A list of prompts beside the selected one, as the browser of verdicts and the compare view both have it. The page says
// what is special about it:
//   index         what pages/index.js holds
//   controls      ids of the form's selects that the address remembers, beside rows and prompt
//   read()        takes over the form's values and sets its counts
//   named()       what the address says of the chosen rows
//   asked(hash)   sets the form from the address
//   badges(p)     what the list and the head say of a prompt
//   fits(p)       whether the filters keep it
//   key()         a function that orders prompts, or null for the benchmark's order
//   searched()    the rows whose texts are searched
//   shown(p)      stems of the pages that a prompt needs beside its own text
//   draw(p, t, r) the elements for their texts, raw or rendered
const view = (page) => {
  const { el, text } = reader;
  const [rows, prompts, parts, families, perPage, benchmarks, cells] = page.index;
  const field = (id) => document.getElementById(id), pane = field("reader"), count = field("count");
  let prompt = null, raw = false, drawn = 0, everything = [];

  const sample = (row, number) => ({ preference: cells[row][0][number], score: cells[row][1][number], flags: cells[row][2][number], length: cells[row][3][number] });
  const where = (number) => [parts[prompts[number][1]], families[prompts[number][2]]].filter(Boolean).join(" · ");
  const within = (benchmark) => { everything = prompts.map((_, number) => number).filter((number) => prompts[number][4] === benchmark); };

  const describe = (number) => {
    const [id, , , excerpt] = prompts[number];
    return [el("span", { class: "excerpt", dir: "auto" }, excerpt || id), el("span", { class: "line" }, el("span", { class: "meta" }, where(number)), page.badges(number))];
  };
  const select = (number, moved) => { prompt = number; items.mark(number); save(); render(moved); };
  const items = reader.list(describe, select);
  const save = () => {
    const chosen = Object.fromEntries(page.controls.map((id) => [id, field(id).value]));
    const benchmark = benchmarks.length > 1 ? benchmarks[Number(field("benchmark").value)][0] : null;
    reader.remember({ benchmark, ...page.named(), ...chosen, q: field("q").value.trim(), prompt: prompt === null ? null : prompts[prompt][0] });
  };

  // the list
  const told = (shown, rest = "") => { count.textContent = `${shown === everything.length ? shown : `${shown} of ${everything.length}`} prompts${rest}`; };
  const ordered = (found) => {
    const key = page.key();
    if (!key) return found;
    const keys = new Map(found.map((number) => [number, key(number)]));
    return [...found].sort((a, b) => keys.get(a) - keys.get(b));
  };
  const settle = (found) => {
    items.show(found);
    told(found.length);
    if (found.length && !found.includes(prompt)) return select(found[0], false);
    if (found.length) { items.mark(prompt); return render(false); }
    drawn += 1;
    return pane.replaceChildren(el("p", { class: "cut" }, "No prompt matches."));
  };
  const refresh = () => {
    reader.stop();
    within(Number(field("benchmark").value));
    page.read();
    const found = ordered(everything.filter(page.fits)), words = field("q").value.trim();
    save();
    if (!words) return settle(found);
    let matched = [];
    items.show([]);
    told(0, ", searching");
    return reader.search(words, found, perPage, ["prompts", ...page.searched().map((row) => rows[row][1])], (more, share) => {
      matched = matched.concat(more);
      if (share === 1) return settle(ordered(matched));
      items.add(more);
      return told(matched.length, `, searched ${Math.round(100 * share)} %`);
    });
  };

  // the selected prompt
  const render = async (moved) => {
    const mine = ++drawn, number = prompt, at = number % perPage, stems = ["prompts", ...page.shown(number)];
    let texts;
    try { texts = await Promise.all(stems.map((stem) => reader.load(`${stem}-${Math.floor(number / perPage)}`))); } catch (error) {
      if (mine === drawn) pane.replaceChildren(el("p", { class: "notice", role: "alert" }, error.message));
      return;
    }
    if (mine !== drawn) return;
    const [asked, ...answers] = texts.map((found) => found[at]);
    pane.replaceChildren(head(number), el("section", { class: "prompt" }, el("h3", {}, "Prompt"), text(asked, raw, "Prompt")), ...page.draw(number, answers, raw));
    if (moved && reader.narrow()) { pane.scrollIntoView(); pane.focus({ preventScroll: true }); }
  };
  const head = (number) => {
    const move = (step, name, sign) => {
      const next = items.neighbour(number, step);
      return el("button", { type: "button", class: "button", "aria-label": `${name} prompt`, disabled: next === undefined, onclick: () => select(next, false) }, sign);
    };
    const toggle = () => { raw = !raw; render(false).then(() => field("raw")?.focus()); };
    return el("header", {}, el("h2", {}, el("bdi", {}, prompts[number][0])), el("p", { class: "meta" }, where(number)),
      el("div", { class: "tools" }, move(-1, "Previous", "←"), move(1, "Next", "→"),
        el("button", { type: "button", class: "button", id: "raw", "aria-pressed": String(raw), onclick: toggle }, "Raw text")));
  };

  // what the address asks for, and changes of the form
  const apply = () => {
    const asked = reader.hash(), benchmark = Math.max(0, benchmarks.findIndex(([name]) => name === asked.benchmark));
    within(benchmark);
    reader.options(field("benchmark"), benchmarks.map(([name], number) => [String(number), name]), String(benchmark));
    reader.options(field("part"), [["", "all"], ...parts.filter(Boolean).map((name) => [name, name])], asked.part ?? "");
    page.asked(asked, benchmark);
    field("q").value = asked.q ?? "";
    prompt = everything.find((number) => prompts[number][0] === asked.prompt) ?? null;
    refresh();
  };
  // choices with the number of prompts each keeps; one that keeps none can not be chosen
  const counted = (id, choices, total) => {
    const value = field(id).value;
    reader.options(field(id), Object.entries(choices).map(([key, [name, keep]]) => {
      const kept = key ? total(keep) : 0;
      return [key, key ? `${name} (${kept})` : name, Boolean(key) && !kept && key !== value];
    }), value);
  };
  const begin = () => {
    field("benchmark").closest("label").hidden = benchmarks.length < 2;
    field("part").closest("label").hidden = parts.filter(Boolean).length < 2;
    field("filters").addEventListener("submit", (event) => event.preventDefault());
    field("filters").addEventListener("change", (event) => { if (event.target.id !== "q") refresh(); });
    field("q").addEventListener("input", reader.later(refresh, 200));
    addEventListener("hashchange", apply);
    apply();
  };
  return { field, sample, refresh, counted, begin, everything: () => everything };
};
