"use strict";
// Texts of the server, of files and of people become text nodes, never HTML: the page's policy refuses it too.
const SHOWN = 5;
const KEPT = "headstart-token";
const TAGS = new Set([
  "p", "h1", "h2", "h3", "h4", "ul", "ol", "li", "strong", "em", "code",
  "table", "thead", "tbody", "tr", "th", "td",
]);
const by = (id) => document.getElementById(id);
let token = sessionStorage.getItem(KEPT) || "";
let file = null;
let running = null;
let cardOf = "";

class Refused extends Error {}

function element(tag, name, ...content) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...content);
  return made;
}

function report(text, canRepeat = false) {
  by("reason").textContent = text;
  by("again").hidden = !canRepeat;
  by("problem").hidden = !text;
}

function say(text, isSeenElsewhere = false) {
  by("status").textContent = text;
  by("status").className = isSeenElsewhere ? "unseen" : "";
}

async function ask(path, options = {}) {
  const headers = token ? {Authorization: "Bearer " + token} : {};
  let answer;
  try {
    answer = await fetch(path, {...options, headers, cache: "no-store"});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer.");
  }
  if (answer.status === 401) askForToken();
  if (!answer.ok) throw new Refused(reasonOf(answer.status, await answer.text()));
  return answer.json();
}

function reasonOf(status, text) {
  if (status === 401) return token ? "The server does not know this token." : "";
  try {
    return JSON.parse(text).message || text;
  } catch {
    return text || "The server refused with status " + status + ".";
  }
}

function askForToken() {
  sessionStorage.removeItem(KEPT);
  by("entrance").hidden = false;
  by("token").focus();
}

async function useToken(event) {
  event.preventDefault();
  token = by("token").value.trim();
  by("token").value = "";
  if (!(await showCard())) return;
  sessionStorage.setItem(KEPT, token);
  by("entrance").hidden = true;
  if (file) await send(file);
}

async function showCard() {
  try {
    const found = await ask("card");
    report("");
    cardOf = found.model_version;
    by("version").textContent = found.model + (found.model === cardOf ? "" : " (" + cardOf + ")");
    by("about").hidden = false;
    by("about-card").textContent = found.why_not
      ? "No card: " + found.why_not + "."
      : "Of " + cardOf + ", as MLflow shows it on the version's page.";
    by("card").replaceChildren(...found.content.map(cardPart));
    return true;
  } catch (error) {
    report(error.message);
    return false;
  }
}

function cardPart(node) {
  if (typeof node === "string") return document.createTextNode(node);
  return element(TAGS.has(node.tag) ? node.tag : "span", "", ...node.content.map(cardPart));
}

async function send(chosen) {
  file = chosen;
  if (running) running.abort();
  const own = (running = new AbortController());
  report("");
  by("answer").hidden = true;
  say("Asking about " + (file.name || "the picture") + " ...");
  const body = new FormData();
  body.append("image", file, file.name || "picture");
  try {
    const found = await ask("explain", {method: "POST", body, signal: own.signal});
    show(found);
    if (found.model_version !== cardOf) await showCard();
  } catch (error) {
    if (error.name === "AbortError") return;
    say("");
    report(error.message, by("entrance").hidden);
  }
}

function show(found) {
  const answer = found.answer;
  if (!answer.probabilities) {
    say("");
    report((answer.name || "The picture") + " cannot be read: " + answer.error);
    return;
  }
  const likely = Object.entries(answer.probabilities).sort((one, other) => other[1] - one[1]);
  const [best, probability] = likely[0];
  by("label").textContent = answer.label === null ? "No label" : answer.label;
  by("answered").textContent = (answer.error ? answer.error + ". " : "") + "Answered by " + found.model_version;
  say(answer.label === null ? "No label: " + answer.error : answer.label + ", " + percent(probability), true);
  by("likely").replaceChildren(...likely.slice(0, SHOWN).map(row));
  by("less-likely").replaceChildren(...likely.slice(SHOWN).map(row));
  by("others").hidden = likely.length <= SHOWN;
  by("others").firstElementChild.textContent = likely.length - SHOWN + " other classes";
  showPictures(found, best);
  showNearest(found);
  by("answer").hidden = false;
}

function row([name, probability], place) {
  const bar = element("div", "share");
  bar.style.setProperty("--share", probability);
  const heading = element("th", "", name);
  heading.scope = "row";
  const cells = [heading, element("td", "", bar), element("td", "number", percent(probability))];
  return element("tr", place === 0 ? "best" : "", ...cells);
}

function percent(share) {
  return share > 0 && share < 0.001 ? "< 0.1 %" : (100 * share).toFixed(1) + " %";
}

function showPictures(found, best) {
  by("picture").src = found.picture;
  by("picture").alt = "The picture as the network reads it";
  by("switch").hidden = !found.overlay;
  if (found.overlay) by("overlay").src = found.overlay;
  by("overlay").alt = "The places that count for " + best;
  by("about-overlay").textContent = found.overlay
    ? "Bright places count most for " + best + "; a white line surrounds those with at least half of the strongest "
      + "evidence. The picture is shown as the network reads it."
    : "The evidence is not shown: " + found.why_no_overlay + ".";
  showOverlay();
}

function showOverlay() {
  by("overlay").hidden = by("switch").hidden || !by("evidence").checked;
}

function showNearest(found) {
  by("about-nearest").textContent = found.why_no_nearest
    ? "Not shown: " + found.why_no_nearest + "."
    : "Those with the most similar features; 1 is the same, 0 unrelated.";
  by("nearest").replaceChildren(...found.nearest.map(training));
}

function training(near) {
  const image = element("img");
  image.src = near.thumbnail;
  image.alt = "";
  const about = near.label + ", " + near.similarity.toFixed(2);
  return element("li", "", image, element("div", "", about), element("div", "path", near.path));
}

function take(files) {
  const pictures = [...files];
  if (pictures.length) send(pictures[0]);
  else report("That is not a file: drop or paste a picture, or choose one.");
}

for (const id of ["file", "camera"])
  by(id).addEventListener("change", (event) => {
    if (event.target.files.length) take(event.target.files);
    event.target.value = ""; // so that the same file can be chosen again
  });
document.addEventListener("paste", (event) => {
  if (event.target === by("token")) return;
  event.preventDefault();
  take(event.clipboardData.files);
});
for (const name of ["dragenter", "dragover"])
  document.addEventListener(name, (event) => {
    event.preventDefault();
    by("drop").classList.add("over");
  });
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) by("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  by("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
by("entrance").addEventListener("submit", useToken);
by("evidence").addEventListener("change", showOverlay);
by("again").addEventListener("click", () => send(file));
showCard();
