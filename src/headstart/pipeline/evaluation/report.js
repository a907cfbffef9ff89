"use strict";
// All of this is a convenience: without it the whole page is there.

// In MLflow's view of an artifact the page has no address, so links to files beside it lead nowhere.
if (!/^(file|https?):$/.test(location.protocol)) {
  for (const link of document.querySelectorAll("a.beside-page")) link.removeAttribute("href");
}

// A box above each long table shows only the rows that contain what is typed.
for (const box of document.querySelectorAll("[data-filter]")) {
  const rows = [...box.querySelectorAll("tbody tr")];
  const field = document.createElement("input");
  const count = document.createElement("output");
  field.type = "search";
  field.placeholder = field.ariaLabel = box.dataset.filter;
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    count.value = wanted ? `${shown} of ${rows.length}` : "";
  });
  const line = document.createElement("p");
  line.className = "filter";
  line.append(field, count);
  box.before(line);
}

// On paper nothing can be opened.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const each of opened) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of opened) each.open = false;
});
