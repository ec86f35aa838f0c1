"use strict";
(() => {
  const status = document.getElementById("status");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

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
      const before = heads[column].getAttribute("aria-sort"), words = heads[column].classList.contains("name");
      const up = before ? before !== "ascending" : words || heads[column].classList.contains("rank");
      const value = (row) => row.classList.contains("failed") ? "" : (row.cells[column]?.dataset.sort ?? "");
      const compare = (a, b) => {
        const x = value(a), y = value(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        return (up ? 1 : -1) * (words ? x.localeCompare(y) : Number(x) - Number(y));
      };
      body.append(...all("tr", body).sort(compare));
      for (const head of heads) head.removeAttribute("aria-sort");
      heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
      status.textContent = `Sorted by ${heads[column].textContent.trim()}, ${up ? "ascending" : "descending"}`;
    };
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));
  }

  // filters: of all tables alike, and of the chart's rows
  const filters = document.getElementById("filters"), find = document.getElementById("find");
  const elsewhere = document.getElementById("references"), count = document.getElementById("count");
  const lines = all("tr[data-find]").map((line) => ({ line, text: line.dataset.find.toLowerCase() }));
  const whole = document.querySelector("table.sortable");
  const apply = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const choices = all("select", filters).filter((select) => select.value);
    const kept = new Set();
    for (const { line, text } of lines) {
      const reference = line.classList.contains("reference");
      const keep = words.every((word) => text.includes(word)) && (!reference || elsewhere.checked)
        && choices.every((select) => line.dataset[select.dataset.filter] === select.value);
      line.hidden = !keep;
      if (keep) kept.add(line.dataset.row);
    }
    for (const line of all(".grid tr[data-row]")) line.hidden = !kept.has(line.dataset.row);
    const own = lines.filter(({ line }) => whole.contains(line) && !line.classList.contains("reference"));
    const shown = own.filter(({ line }) => !line.hidden).length;
    count.textContent = shown === own.length ? "" : `${shown} of ${own.length} rows`;
  };
  filters.hidden = false;
  filters.addEventListener("input", apply);
  apply();
})();
