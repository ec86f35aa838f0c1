"use strict";
(() => {
  const root = document.documentElement, status = document.getElementById("status");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // light and dark
  const theme = document.getElementById("theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { theme.textContent = dark() ? "Light" : "Dark"; theme.setAttribute("aria-label", `Switch to ${dark() ? "light" : "dark"} colours`); };
  const remembered = (value) => { try { if (value) localStorage.setItem("theme", value); return localStorage.getItem("theme"); } catch { return null; } };
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();
  theme.hidden = false;
  label();
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; remembered(root.dataset.theme); label(); });

  // a narrow screen has room for one panel of the chart: that of the part the table shows
  const showPanel = (key) => { for (const cell of all(".grid th, .grid td")) cell.classList.toggle("on", cell.classList.contains(key)); };

  // switches: without this script everything stands one below the other
  for (const bar of all("[data-switch]")) {
    const buttons = all("button", bar), panels = all(`[data-group="${bar.dataset.switch}"]`);
    const show = (id) => {
      for (const panel of panels) panel.hidden = panel.id !== id;
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.show === id));
      if (bar.dataset.switch === "table") showPanel(id.replace("table-", ""));
    };
    for (const button of buttons) button.addEventListener("click", () => show(button.dataset.show));
    if (buttons.length > 1) bar.hidden = false;
    if (buttons.length) show(buttons[0].dataset.show);
  }

  // sorting: rows without a value and failed rows stay at the end in both directions
  for (const table of all("table.sortable")) {
    const heads = all("thead th", table), body = table.tBodies[0];
    const sort = (column) => {
      const before = heads[column].getAttribute("aria-sort");
      const firstUp = heads[column].classList.contains("name") || column === 0;
      const up = before ? before !== "ascending" : firstUp;
      const value = (row) => row.classList.contains("failed") ? "" : (row.cells[column]?.dataset.sort ?? "");
      const compare = (a, b) => {
        const x = value(a), y = value(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        const numbers = !heads[column].classList.contains("name");
        return (up ? 1 : -1) * (numbers ? Number(x) - Number(y) : x.localeCompare(y));
      };
      body.append(...all("tr", body).sort(compare));
      for (const head of heads) head.removeAttribute("aria-sort");
      heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
      status.textContent = `Sorted by ${heads[column].textContent.trim()}, ${up ? "ascending" : "descending"}`;
    };
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));
  }

  // samples
  const filters = document.getElementById("filters");
  if (filters) {
    const samples = all(".sample"), search = document.getElementById("search"), count = document.getElementById("count");
    const texts = new Map();
    const text = (sample) => { if (!texts.has(sample)) texts.set(sample, sample.textContent.toLowerCase()); return texts.get(sample); };
    const apply = () => {
      const wanted = all("select", filters).filter((select) => select.value), words = search.value.toLowerCase().trim();
      let shown = 0;
      for (const sample of samples) {
        const keep = wanted.every((select) => sample.dataset[select.dataset.filter] === select.value) && (!words || text(sample).includes(words));
        sample.hidden = !keep;
        shown += keep;
      }
      count.textContent = shown === samples.length ? `${shown} prompts` : `${shown} of ${samples.length} prompts`;
    };
    filters.hidden = false;
    filters.addEventListener("input", apply);
    apply();
  }
})();
