/**
 * The reading page: images wait in a queue, are read one after another, and are shown when they are chosen.
 * @module
 *
 * @typedef {object} Item what stands in the queue.
 * @property {string} name as the reader knows it; it never leaves the browser.
 * @property {File} [file] an upload.
 * @property {string} [imageId] an image of the studies.
 * @property {"queued"|"sending"|"running"|"done"|"failed"|"cancelled"} state
 * @property {string} said what is being done, or why it failed.
 * @property {string} [reading] the server's id.
 * @property {any} [result]
 * @property {HTMLElement} row
 */

import { ask, clientId, say } from "./api.js";
import { examOfAddress, pickExams } from "./read-pick.js";
import { showResult } from "./read-result.js";

const form = document.getElementById("form");
const files = document.getElementById("files");
const begin = document.getElementById("begin");
const cancel = document.getElementById("cancel");
const bar = document.getElementById("progress");
const said = document.getElementById("progress-said");
const list = document.getElementById("queue");
const drop = document.getElementById("drop");

/** @type {Item[]} */
let items = [];
let running = false;
/** @type {AbortController | null} */
let stopping = null;
/** @type {Item | null} */
let shown = null;

const patterns = JSON.parse(form.dataset.patterns).map(([text, warning]) => [new RegExp(text, "u"), warning]);
form.elements.code.addEventListener("input", () => {
  const found = patterns.find(([pattern]) => pattern.test(form.elements.code.value));
  document.getElementById("code-warning").textContent = found ? found[1] : "";
});

files.addEventListener("change", () => {
  add([...files.files].map((file) => ({ name: file.name, file })));
  files.value = "";
});
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop") add([...event.dataTransfer.files].map((file) => ({ name: file.name, file })));
  });
}
document.getElementById("pick").addEventListener("click", () => pickExams(add));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!running) readAll();
});
cancel.addEventListener("click", () => stopping?.abort());
// The server forgets what the page lets go of.
window.addEventListener("pagehide", () => items.forEach(forget));

examOfAddress().then(add, (error) => (said.textContent = error.message));

/** @param {Partial<Item>[]} more */
function add(more) {
  for (const each of more) {
    const item = { state: "queued", said: "", ...each };
    item.row = row(item);
    items.push(item);
    list.append(item.row);
    draw(item);
  }
  document.getElementById("queue-panel").hidden = items.length === 0;
  begin.disabled = running || !items.some(waits);
}

/** @param {Item} item */
const waits = (item) => item.state === "queued" || item.state === "failed" || item.state === "cancelled";

/** @param {Item} item */
function row(item) {
  const place = document.createElement("li");
  const open = Object.assign(document.createElement("button"), { type: "button", className: "item" });
  open.title = item.name;
  open.append(span("name", item.name), span("pill", ""), span("why", ""));
  open.addEventListener("click", () => item.result && show(item));
  const away = Object.assign(document.createElement("button"), { type: "button", className: "small away" });
  away.textContent = "×";
  away.setAttribute("aria-label", `Remove ${item.name}`);
  away.addEventListener("click", () => remove(item));
  place.append(open, away);
  return place;
}

/** @param {string} kind @param {string} text */
function span(kind, text) {
  return Object.assign(document.createElement("span"), { className: kind, textContent: text });
}

/** @param {Item} item */
function draw(item) {
  const pill = item.row.querySelector(".pill");
  const found = item.result?.params.predicted_class;
  pill.textContent = found ?? item.state;
  pill.className = `pill ${found ?? item.state}`;
  const why = item.row.querySelector(".why");
  why.textContent = item.said;
  why.classList.toggle("bad", item.state === "failed");
  item.row.querySelector(".item").toggleAttribute("aria-current", item === shown);
}

/** @param {Item} item */
function remove(item) {
  if (item.state === "sending" || item.state === "running") {
    stopping?.abort();
    return;
  }
  forget(item);
  item.row.remove();
  items = items.filter((other) => other !== item);
  if (shown === item) {
    shown = null;
    document.getElementById("result").hidden = true;
    document.getElementById("nothing").hidden = false;
  }
  add([]);
  files.focus();
}

/** @param {Item} item */
function forget(item) {
  if (item.reading) fetch(`/api/readings/${item.reading}`, { method: "DELETE", keepalive: true }).catch(() => {});
  item.reading = undefined;
}

async function readAll() {
  const todo = items.filter(waits);
  running = true;
  form.setAttribute("aria-busy", "true");
  stopping = new AbortController();
  begin.disabled = true;
  cancel.hidden = bar.hidden = false;
  bar.max = todo.length;
  let done = 0;
  for (const item of todo) {
    if (stopping.signal.aborted) break;
    said.textContent = `image ${done + 1} of ${todo.length}`;
    await read(item, stopping.signal);
    bar.value = ++done;
    if (item.state === "done" && (!shown || done === 1)) show(item);
  }
  const failed = todo.filter((item) => item.state === "failed").length;
  said.textContent = stopping.signal.aborted
    ? "cancelled"
    : `${todo.length - failed} read${failed ? `, ${failed} could not be` : ""}`;
  running = false;
  form.setAttribute("aria-busy", "false");
  cancel.hidden = bar.hidden = true;
  begin.disabled = !items.some(waits);
}

/** @param {Item} item @param {AbortSignal} signal */
async function read(item, signal) {
  const set = (state, text) => {
    [item.state, item.said] = [state, text];
    draw(item);
  };
  try {
    set("sending", item.file ? "sending" : "asking");
    const begun = await ask("/api/readings", { method: "POST", body: body(item), signal });
    item.reading = begun.id;
    let now = begun;
    while (now.state === "waiting" || now.state === "running") {
      set("running", now.stage);
      await pause(250, signal);
      now = await ask(`/api/readings/${item.reading}`, { signal });
    }
    if (now.state === "failed") throw new Error(now.reason);
    item.result = now.result;
    set("done", "");
  } catch (error) {
    forget(item);
    if (error.name === "AbortError") set("cancelled", "");
    else set("failed", error.message);
  }
}

/** @param {Item} item */
function body(item) {
  const data = new FormData(form);
  if (item.file) data.set("file", item.file, suffixOnly(item.file.name));
  else data.set("image_id", item.imageId);
  data.set("client_id", clientId());
  return data;
}

/** A file's name may be a patient's; only its kind is sent. @param {string} name */
function suffixOnly(name) {
  const found = name.toLowerCase().match(/(\.nii)?\.[a-z0-9]{1,8}$/);
  return "image" + (found ? found[0] : "");
}

/** @param {number} milliseconds @param {AbortSignal} signal */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", end);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", end, { once: true });
  });
}

/** @param {Item} item */
function show(item) {
  const before = shown;
  shown = item;
  if (before) draw(before);
  draw(item);
  document.getElementById("nothing").hidden = true;
  showResult(document.getElementById("result"), item, {
    keep: async () => {
      const { image_id: id } = await ask(`/api/readings/${item.reading}/keep`, { method: "POST" });
      item.result.kept_as = id;
      say(`Added to the studies as ${id}.`);
    },
  });
}
