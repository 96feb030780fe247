/**
 * Picking an exam of the studies.
 * @module
 */

import { ask } from "./api.js";

const LIMIT = 12;
const dialog = document.getElementById("picker");
const list = document.getElementById("pick-list");
const said = document.getElementById("pick-said");
const modality = document.getElementById("pick-modality");
let offset = 0;
let total = 0;
let take = () => {};

/** @param {(items: {name: string, imageId: string}[]) => void} taken called with the images of the chosen exam. */
export function pickExams(taken) {
  take = taken;
  offset = 0;
  dialog.showModal();
  load();
}

modality.addEventListener("change", () => ((offset = 0), load()));
document.getElementById("pick-older").addEventListener("click", () => ((offset = Math.max(0, offset - LIMIT)), load()));
document.getElementById("pick-newer").addEventListener("click", () => {
  if (offset + LIMIT < total) offset += LIMIT;
  load();
});

async function load() {
  const query = new URLSearchParams({ status: "all", limit: LIMIT, offset });
  if (modality.value) query.set("modality", modality.value);
  try {
    const found = await ask(`/api/cases?${query}`);
    total = found.total;
    said.textContent = total ? `${offset + 1} to ${Math.min(total, offset + LIMIT)} of ${total}` : "no exam";
    list.replaceChildren(...found.cases.map(entry));
  } catch (error) {
    said.textContent = error.message;
  }
}

/**
 * The images of the exam that the page's address names, as the worklist does.
 * @returns {Promise<{name: string, imageId: string}[]>}
 */
export async function examOfAddress() {
  const id = new URLSearchParams(location.search).get("case");
  if (!id) return [];
  const exam = await ask(`/api/cases/${encodeURIComponent(id)}`);
  return imagesOf(exam);
}

const imagesOf = (exam) => exam.images.map((image) => ({ name: nameOf(image), imageId: image.image_id }));

/** @param {any} exam */
function entry(exam) {
  const row = document.createElement("li");
  const button = Object.assign(document.createElement("button"), { type: "button" });
  for (const image of exam.images.slice(0, 4)) {
    const picture = Object.assign(new Image(), { src: image.thumbnail, alt: "", loading: "lazy" });
    button.append(picture);
  }
  const text = document.createElement("span");
  text.textContent = [exam.modality, exam.acquired, viewsOf(exam), exam.status].filter(Boolean).join(" · ");
  button.append(text);
  button.addEventListener("click", () => {
    dialog.close();
    take(imagesOf(exam));
  });
  row.append(button);
  return row;
}

const viewsOf = (exam) => exam.images.map(nameOf).join(", ");
const nameOf = (image) =>
  [image.laterality, image.view_position].filter(Boolean).join("-") || image.image_id;
