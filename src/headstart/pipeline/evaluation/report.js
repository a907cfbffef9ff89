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

// The chooser of a threshold for two classes. Thresholds and counts come with the page; only costs are computed here, in
// the same order of operations as in sections/thresholds.py, so that they are the figures of the table.
for (const form of document.querySelectorAll("[data-chooser]")) {
  const data = JSON.parse(form.dataset.chooser);
  const fields = form.elements;
  const [positives, negatives] = data.test_images;
  const point = fields.point;
  const costs = () => [fields.cost0, fields.cost1].map((field) => field.valueAsNumber);
  const number = (value) =>
    value >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
  const cost = ([missed, alarms], images) => (costs()[0] * missed + costs()[1] * alarms) / images;
  const isSwapped = () => fields.class.value === "1";
  // A threshold for the other class is the same one seen from above: the slider then runs the other way.
  const place = (value) => (isSwapped() ? data.thresholds.length - 1 - value : value);
  const show = (name, text) => {
    for (const each of form.querySelectorAll(`[data-show=${name}]`)) each.textContent = text;
  };

  // As decisions.best_threshold for the costlier class: of thresholds that cost the same on the validation images, the
  // nearest to that of exact probabilities; of two that are equally near, the lower one for that class.
  const cheapest = () => {
    const all = data.corners.map((index) => cost(data.validation[index], data.validation_images));
    const least = Math.min(...all) * (1 + 1e-12);
    const exact = costs()[1] / (costs()[0] + costs()[1]);
    const away = (index) => Math.abs(data.thresholds[index] - exact);
    const tied = data.corners.filter((_, place) => all[place] <= least);
    if (costs()[1] > costs()[0]) tied.reverse();
    return tied.reduce((best, index) => (away(index) < away(best) ? index : best));
  };

  const interval = (index) => {
    const images = positives + negatives;
    const mean = cost(data.test[index], images);
    let [below, above] = [0, 0];
    for (const side of [0, 1]) {
      const rate = data.test[index][side] / Math.max(data.test_images[side], 1);
      const weight = (costs()[side] * data.test_images[side]) / images;
      const [low, high] = data.intervals[index][side];
      below += (weight * (rate - low)) ** 2;
      above += (weight * (high - rate)) ** 2;
    }
    return [Math.max(0, mean - Math.sqrt(below)), mean + Math.sqrt(above)];
  };

  const words = (index) => data.shown[index][isSwapped() ? 1 : 0];

  const update = () => {
    const index = place(point.valueAsNumber);
    const own = isSwapped() ? 1 : 0;
    const [missed, alarms] = data.test[index];
    show("class", data.classes[own]);
    show(`kind${own}`, "false negative");
    show(`kind${1 - own}`, "false positive");
    fields.threshold.value = words(index);
    point.ariaValueText = words(index);
    show("found0", positives - missed);
    show("mistaken0", missed);
    show("mistaken1", alarms);
    show("found1", negatives - alarms);
    show("recall", data.recall[index][own][0]);
    show("recall_interval", data.recall[index][own][1]);
    show("precision", data.precision[index][own]);
    const name = JSON.stringify(`probability:${data.classes[0]}`);
    show("call", `scores[${name}] ${isSwapped() ? "<" : ">="} ${data.thresholds[index]}`);
    const isPriced = costs().every((value) => value > 0);
    for (const each of form.querySelectorAll(".priced")) each.hidden = !isPriced;
    if (!isPriced) {
      show("cheapest", "A cost must be a number above 0.");
      for (const each of ["cost", "interval"]) show(each, "");
      return;
    }
    show("cost", number(cost(data.test[index], positives + negatives) * 1000));
    show("interval", interval(index).map((end) => number(end * 1000)).join(" to "));
    const priced = data.classes.map((name, side) => `${JSON.stringify(name)}: ${costs()[side]}`);
    show("params", `costs: {${priced.join(", ")}}`);
    const best = cheapest();
    const known = (index) => number(cost(data.validation[index], data.validation_images) * 1000);
    form.querySelector("datalist option").value = place(best);
    show(
      "cheapest",
      index === best
        ? `The cheapest on validation: ${known(best)} per 1,000 images there.`
        : `Cheapest on validation: ${words(best)}, at ${known(best)} per 1,000 images there; this one costs ${known(index)}.`,
    );
    form.querySelector("button").hidden = index === best;
  };

  const toCheapest = () => {
    if (costs().every((value) => value > 0)) point.value = place(cheapest());
    update();
  };
  for (const field of [fields.cost0, fields.cost1]) field.addEventListener("input", toCheapest);
  fields.class.addEventListener("change", () => {
    point.value = data.thresholds.length - 1 - point.valueAsNumber;
    update();
  });
  point.addEventListener("input", update);
  form.querySelector("button").addEventListener("click", () => {
    toCheapest();
    point.focus();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  toCheapest();
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
