/** The worklist: moves by keyboard, follows the server without losing the focus, takes cases, answers questions. */

import { ask, clientId, say } from "./api.js";
import { keepFresh } from "./refresh.js";

const list = document.getElementById("list");
const filter = document.getElementById("filter");
const reason = document.getElementById("worklist-said");

/** The filter as the page's query. */
function query() {
  const wanted = new URLSearchParams(location.search);
  return wanted.toString() ? `?${wanted}` : "";
}

function markOwn() {
  for (const row of list.querySelectorAll("[data-case]")) {
    const mine = row.dataset.leased === clientId();
    row.classList.toggle("mine", mine);
    const who = row.querySelector(".who");
    if (who && mine) who.textContent = "you";
  }
}

const refreshNow = keepFresh(list, () => list.dataset.address + query(), 5, markOwn);
markOwn();

filter.addEventListener("change", () => {
  const wanted = new URLSearchParams();
  for (const [name, value] of new FormData(filter)) if (value) wanted.set(name, value);
  history.replaceState(null, "", `/worklist?${wanted}`);
  refreshNow();
});
filter.addEventListener("submit", (event) => event.preventDefault());

/** @param {number} step */
function move(step) {
  const rows = [...list.querySelectorAll("[data-case]")];
  if (!rows.length) return;
  const now = rows.indexOf(document.activeElement.closest("[data-case]"));
  const row = rows[now < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, now + step))];
  (row.querySelector(".open") ?? row.querySelector("a")).focus();
  row.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const acts = { j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1), n: takeNext, s: copyFocused };
  const act = acts[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

// What Slicer is told opens over the list: it closes as a menu does.
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && list.querySelector("details[open]");
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
});

document.getElementById("take-next").addEventListener("click", takeNext);

async function takeNext() {
  reason.textContent = "";
  const wanted = new FormData(filter);
  try {
    const options = { client_id: clientId(), strategy: wanted.get("strategy") };
    if (wanted.get("modality")) options.modality = wanted.get("modality");
    const next = await ask("/api/cases/next", { json: options });
    if (next.ohif) location.assign(next.ohif);
    else say("This case has no DICOM image to open.");
  } catch (error) {
    reason.textContent = error.message;
  }
}

list.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button.closest("[data-case]"));
});

function copyFocused() {
  const row = document.activeElement.closest("[data-case]");
  if (row) copy(row);
}

/** @param {Element} row */
async function copy(row) {
  const text = row.querySelector("pre").textContent;
  try {
    await navigator.clipboard.writeText(text);
    say("Copied: the server’s address and the ids of the images.");
  } catch {
    // A page that did not come over a secure connection may not; the text is shown to be copied by hand.
    row.querySelector("details").open = true;
    getSelection().selectAllChildren(row.querySelector("pre"));
    say("Press Ctrl+C to copy the selected text.");
  }
}

list.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-question]");
  if (!form) return;
  event.preventDefault();
  const said = form.querySelector("[role=alert]");
  said.textContent = "";
  const segments = Object.fromEntries(new FormData(form));
  try {
    const remember = form.querySelector("[data-remember]").checked;
    await ask(`/api/questions/${form.dataset.question}`, { json: { segments, remember, client_id: clientId() } });
    say("Answered.");
    await refreshNow();
  } catch (error) {
    said.textContent = error.message;
  }
});
