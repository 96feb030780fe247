/**
 * What came of a reading: class, findings, pictures, heat map.
 * @module
 */

import { HeatMap } from "./heat.js";

const PERCENT = (value) => `${(100 * value).toFixed(1)} %`;
const NAMES = { R: "right", L: "left" };

/**
 * @param {HTMLElement} place
 * @param {{name: string, reading: string, result: any}} item
 * @param {{keep: () => Promise<void>}} acts
 */
export function showResult(place, item, acts) {
  const { result, reading } = item;
  const filled = document.getElementById("result-template").content.cloneNode(true);
  const get = (selector) => filled.querySelector(selector);
  const { params } = result;
  get("h2").textContent = `${item.name}: ${params.predicted_class}`;
  probabilities(get(".probabilities"), params);
  facts(get(".facts"), result);
  for (const note of [...(params.notes ?? []), ...result.notes]) get(".notes").append(made("li", note));
  get(".notes").hidden = !get(".notes").childElementCount;
  findings(get(".table"), result);
  downloads(get(".downloads"), item, acts);
  pictures(get(".pictures"), reading, result, get(".heat-tools"));
  place.replaceChildren(filled);
  place.hidden = false;
}

/** @param {string} tag @param {string} [text] @param {string} [kind] */
function made(tag, text = "", kind = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function probabilities(place, params) {
  for (const [name, value] of Object.entries(params.class_probabilities)) {
    const bar = document.createElement("meter");
    Object.assign(bar, { min: 0, max: 1, value, className: name, id: `p-${name}` });
    const label = made("label", name);
    label.htmlFor = bar.id;
    place.append(label, bar, made("span", PERCENT(value), "figure"));
  }
}

function facts(place, result) {
  const { params, form } = result;
  const add = (name, value) => value && place.append(made("dt", name), made("dd", value));
  const spread = params.uncertainty;
  add("Uncertainty", spread && `${spread.class_entropy.toFixed(2)} of 1.10 (entropy)`);
  add("of the model", spread && `${spread.mutual_information.toFixed(3)} (mutual information)`);
  const invasive = params.breast?.invasive_probability;
  add("Invasive, if malignant", typeof invasive === "number" && PERCENT(invasive));
  const above = result.above_operating_point;
  add("Operating point", above === null ? "" : above ? "reached" : "not reached");
  add("Model", `${result.model} ${params.checkpoint_version}`);
  const known = [form.age && `${form.age} years`, NAMES[form.side], form.view, form.density && `density ${form.density}`];
  add("Form", [form.code, ...known].filter(Boolean).join(", "));
  const views = Array.isArray(params.sequence) ? params.sequence.length : 1;
  add("Looked at", views > 1 ? `${views} images of the breast` : "");
}

function findings(place, result) {
  const found = result.params.findings;
  if (!found.length) {
    const said = result.outlines ? "Nothing was outlined." : "This system gives a class and outlines nothing.";
    place.append(made("p", said, "soft"));
    return;
  }
  const table = made("table");
  table.append(made("caption", "Findings"));
  const head = table.createTHead().insertRow();
  for (const name of ["", "Class", "Probability", "Long axis", "Short axis", "Area", "Place (row, column)"]) {
    const cell = made("th", name);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  found.forEach((finding, index) => {
    const row = body.insertRow();
    const unit = finding.length_unit;
    const area = finding.area_unit.replace("2", "²");
    const texts = [
      `${index + 1}`,
      finding.class,
      finding.probability.toFixed(2),
      `${finding.long_axis.toFixed(1)} ${unit}`,
      `${finding.short_axis.toFixed(1)} ${unit}`,
      `${finding.area.toFixed(1)} ${area}`,
      finding.centroid.map((v) => Math.round(v)).join(", "),
    ];
    for (const text of texts) row.insertCell().textContent = text;
  });
  place.append(table);
}

function downloads(place, item, acts) {
  const base = `/api/readings/${item.reading}`;
  for (const { title, href } of item.result.downloads) {
    const link = made("a", title, "button small");
    link.href = base + href;
    link.setAttribute("download", "");
    place.append(link);
  }
  if (item.result.image_id) return;
  const keep = made("button", "Add to the studies", "small");
  const said = made("span", "", "said-here");
  said.setAttribute("role", "alert");
  const done = () => {
    keep.disabled = true;
    keep.textContent = `In the studies as ${item.result.kept_as}`;
  };
  if (item.result.kept_as) done();
  keep.addEventListener("click", async () => {
    keep.disabled = true;
    try {
      await acts.keep();
      done();
    } catch (error) {
      said.textContent = error.message;
      keep.disabled = false;
    }
  });
  place.append(keep, said);
}

function pictures(place, reading, result, tools) {
  place.classList.toggle("few", result.pictures.length <= 4);
  const address = (name) => `/api/readings/${reading}/pictures/${name}.png`;
  for (const { name, title, explained } of result.pictures) {
    const figure = made("figure");
    const caption = made("figcaption");
    caption.append(made("b", title), " ", made("span", explained, "soft"));
    figure.append(caption);
    if (name === "heat") {
      const heat = new HeatMap(address("original"), address("heat"), tools);
      heat.canvas.setAttribute("role", "img");
      heat.canvas.setAttribute("aria-label", `${title}. ${explained}`);
      figure.append(heat.canvas, tools);
      tools.hidden = false;
    } else {
      const picture = new Image();
      picture.src = address(name);
      picture.alt = `${title}. ${explained}`;
      figure.append(picture);
    }
    place.append(figure);
  }
}
