/**
 * What the panel says of a case.
 * @module
 */
import { nameOf } from "./case.js";
import { button, element, percent } from "./elements.js";

/** @param {any} reading @param {() => void} next */
export function headSection(reading, next) {
  const { data } = reading;
  const facts = [data.acquired, data.images.length > 1 && `${data.images.length} images`, data.has_prior && "prior exam", data.status]
    .filter(Boolean)
    .join(" · ");
  return element(
    "section",
    { className: "bl-head" },
    element("div", {}, element("h2", {}, data.modality === "MG" ? "Mammography" : "Ultrasound"), element("p", { className: "bl-soft" }, facts)),
    button("Next case", "next", next),
  );
}

/** Where images hang one at a time: a button for each. @param {any} reading @param {any} views */
export function imagesSection(reading, views) {
  const images = reading.images();
  if (reading.kind() !== "one" || images.length < 2) return "";
  const shown = views.active()?.image?.image_id;
  return element(
    "section",
    { className: "bl-row" },
    ...images.map((image, number) =>
      button(nameOf(image), `image-${number + 1}`, () => void views.show(image.image_id), {
        className: image.image_id === shown ? "bl-chosen" : "",
        title: image.image_id,
      }),
    ),
  );
}

/** The probability of malignancy of each breast, or of each image where no breast is known. @param {any} reading */
export function breastsSection(reading) {
  const judged = reading.data.breasts?.length
    ? reading.data.breasts.map((breast) => ({ name: sideOf(breast.laterality), ...breast }))
    : reading.images().filter((image) => image.result).map((image) => ({ name: nameOf(image), ...image.result }));
  const version = judged[0] && [judged[0].model, judged[0].checkpoint_version].filter(Boolean).join(" ");
  return element(
    "section",
    {},
    element("h3", {}, "Probability of malignancy"),
    ...judged.map(judgement),
    !judged.length && element("p", { className: "bl-soft" }, "The AI has not read this case yet."),
    version && element("p", { className: "bl-soft bl-small" }, version),
  );
}

/** @param {any} said */
function judgement(said) {
  const share = said.malignancy_probability;
  const bar = element("div", { className: "bl-bar" }, element("div", { className: "bl-fill" }));
  bar.firstElementChild.style.width = percent(share ?? 0).replace(" ", "");
  const class_ = said.predicted_class ?? "";
  const invasive = said.invasive_probability;
  return element(
    "div",
    { className: `bl-judgement ${class_}`, dataset: { cy: "breastlabel-probability" } },
    element("div", { className: "bl-line" }, element("b", {}, said.name), element("span", {}, class_), element("b", {}, percent(share))),
    bar,
    typeof invasive === "number" && element("p", { className: "bl-small" }, `invasive, if malignant: ${percent(invasive)}`),
    element("p", { className: "bl-soft bl-small" }, uncertaintyOf(said.uncertainty)),
  );
}

/** @param {Record<string, number> | null | undefined} uncertainty @returns {string} */
function uncertaintyOf(uncertainty) {
  if (!uncertainty) return "uncertainty not estimated";
  const names = { class_entropy: "entropy", mutual_information: "model uncertainty", mask_disagreement: "outline disagreement" };
  const said = Object.entries(names)
    .filter(([key]) => typeof uncertainty[key] === "number")
    .map(([key, name]) => `${name} ${uncertainty[key].toFixed(2)}`);
  return said.join(" · ") || "uncertainty not estimated";
}

/** @param {string | null} side */
const sideOf = (side) => ({ R: "Right breast", L: "Left breast" })[side ?? ""] ?? "Breast";

/** Each finding as a button that leads to it. @param {any} reading @param {any} views */
export function findingsSection(reading, views) {
  const items = reading.images().flatMap((image) =>
    (image.result?.findings ?? []).map((finding) => ({ image, finding })),
  );
  return element(
    "section",
    {},
    element("h3", {}, "Findings"),
    ...items.map(({ image, finding }) =>
      element(
        "button",
        {
          type: "button",
          className: `bl-finding ${finding.class}`,
          title: "Show it",
          onclick: () => void views.jump(image.image_id, finding.bounding_box),
          dataset: { cy: "breastlabel-finding" },
        },
        element("b", {}, nameOf(image)),
        element("span", {}, [finding.class, finding.type].filter(Boolean).join(" ")),
        element("span", {}, percent(finding.probability)),
        element("span", { className: "bl-soft" }, `${finding.long_axis.toFixed(1)} × ${finding.short_axis.toFixed(1)} ${finding.length_unit}`),
      ),
    ),
    !items.length && element("p", { className: "bl-soft" }, "None."),
  );
}

/** @param {any} training the answer of ``/api/training`` */
export function trainingSection(training) {
  if (!training?.model) return element("section", {}, element("h3", {}, "Training"), element("p", { className: "bl-soft" }, "None yet."));
  const share = training.running && training.progress !== null ? ` ${percent(training.progress)}` : "";
  return element(
    "section",
    { dataset: { cy: "breastlabel-training" } },
    element("h3", {}, "Training"),
    element("p", { className: "bl-soft" }, `${training.model}: ${training.status}${share}`),
    training.message && element("p", { className: "bl-soft bl-small" }, training.message),
  );
}
