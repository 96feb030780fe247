/**
 * Where each image hangs. Mammograms: right breast left of the left one, chest walls facing each other, CC over MLO;
 * with a prior exam, the current one over it. Anything else, ultrasound above all: one at a time.
 * @module
 */

/** @typedef {import("./case.js").Case} Case */

const VIEWS = ["R CC", "L CC", "R MLO", "L MLO"];
const PLACE = "breastlabelPlace";
const FLIP = "breastlabelFlip";
const KIND = "breastlabelKind";

/** @param {string} place as ``current R CC`` */
const selector = (place) => ({
  seriesMatchingRules: [{ weight: 10, attribute: PLACE, constraint: { equals: { value: place } }, required: true }],
});

/** @param {string} place */
function viewport(place) {
  const right = place.includes(" R ");
  const wall = [right ? 1 : 0, 0.5];
  return {
    viewportOptions: {
      viewportId: place.replaceAll(" ", "-").toLowerCase(),
      toolGroupId: "default",
      viewportType: "stack",
      allowUnmatchedView: true,
      flipHorizontal: { custom: FLIP, defaultValue: false },
      displayArea: {
        storeAsInitialCamera: true,
        imageArea: [1, 1],
        imageCanvasPoint: { imagePoint: wall, canvasPoint: wall },
      },
    },
    displaySets: [{ id: place }],
  };
}

/** @param {string} name @param {number} columns @param {string[]} places */
const stage = (name, columns, places) => ({
  name,
  viewportStructure: {
    layoutType: "grid",
    properties: { rows: places.length / columns, columns },
  },
  viewports: places.map(viewport),
});

const current = VIEWS.map((view) => `current ${view}`);
const prior = VIEWS.map((view) => `prior ${view}`);

/** @param {string} id @param {string} name @param {string} kind @param {string[]} places @param {object[]} stages */
const protocol = (id, name, kind, places, stages) => ({
  id,
  name,
  locked: true,
  toolGroupIds: ["default"],
  numberOfPriorsReferenced: 1,
  protocolMatchingRules: [{ id: kind, weight: 1000, attribute: KIND, constraint: { equals: { value: kind } }, required: true }],
  displaySetSelectors: Object.fromEntries(places.map((place) => [place, selector(place)])),
  stages,
});

export const HANGING_PROTOCOLS = [
  protocol("breastlabel.mammography", "Mammography", "mammography", current, [stage("Four views", 2, current)]),
  protocol("breastlabel.mammography-prior", "Mammography with prior", "mammography with prior", [...current, ...prior], [
    stage("Current over prior", 4, [...current, ...prior]),
    stage("Four views", 2, current),
  ]),
  {
    ...protocol("breastlabel.one", "One image", "one", [], []),
    displaySetSelectors: {
      image: {
        seriesMatchingRules: [
          { weight: 10, attribute: PLACE, constraint: { equals: { value: "wanted" } } },
          { weight: 1, attribute: "isDisplaySetWithImages", constraint: { equals: { value: true } } },
          { weight: 1, attribute: "Modality", constraint: { doesNotEqual: { value: "SEG" } }, required: true },
          { weight: 1, attribute: "Modality", constraint: { doesNotEqual: { value: "SR" } }, required: true },
        ],
      },
    },
    stages: [
      {
        name: "One image",
        viewportStructure: { layoutType: "grid", properties: { rows: 1, columns: 1 } },
        viewports: [
          {
            viewportOptions: { viewportId: "image", toolGroupId: "default", viewportType: "stack", allowUnmatchedView: true },
            displaySets: [{ id: "image" }],
          },
        ],
      },
    ],
  },
];

/**
 * What the protocols ask of studies and display sets; the catalog knows sides and views also of files that do not
 * say them.
 * @param {any} hangingProtocolService
 * @param {Case} reading
 */
export function addAttributes(hangingProtocolService, reading) {
  hangingProtocolService.addCustomAttribute(KIND, "Kind of exam", () => reading.kind());
  hangingProtocolService.addCustomAttribute(PLACE, "Place in the exam", (displaySet) =>
    reading.place(displaySet.instances?.[0] ?? displaySet),
  );
  hangingProtocolService.addCustomAttribute(FLIP, "Chest wall on the wrong side", (displaySets) =>
    displaySets.some((displaySet) => wallOnWrongSide(displaySet.instances?.[0])),
  );
}

/**
 * A right breast hangs with its chest wall at the image's right edge: columns run to posterior there; a left breast
 * with anterior. Without an orientation nothing is turned.
 * @param {any} instance
 */
export function wallOnWrongSide(instance) {
  const orientation = instance?.PatientOrientation;
  const along = (Array.isArray(orientation) ? orientation[0] : String(orientation ?? "").split("\\")[0]) ?? "";
  const side = instance?.ImageLaterality ?? instance?.Laterality;
  if (side === "R") return along.startsWith("A");
  if (side === "L") return along.startsWith("P");
  return false;
}
