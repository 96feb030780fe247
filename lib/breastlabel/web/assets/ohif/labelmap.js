/**
 * A segmentation of OHIF as pixels, as its segments, and as a DICOM object.
 * @module
 */

const LABELMAP = "Labelmap";
const EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1";
/** The numbers are the values with which the classes are painted everywhere in breastlabel. */
export const CLASSES = [
  { index: 1, label: "benign", color: [40, 220, 90, 255] },
  { index: 2, label: "malignant", color: [255, 60, 60, 255] },
];

/**
 * @param {any} segmentationService @param {string} segmentationId
 * @returns {Uint8Array | undefined} the pixels, row by row; 0 is nothing, else a segment's index
 */
export function pixelsOf(segmentationService, segmentationId) {
  const segmentation = segmentationService.getSegmentation(segmentationId);
  const [imageId] = segmentation?.representationData?.[LABELMAP]?.imageIds ?? [];
  return window.cornerstone.cache.getImage(imageId)?.getPixelData();
}

/** @param {ArrayLike<number> | undefined} pixels @returns {string} a fingerprint (FNV-1a) by which changes are noticed */
export function fingerprint(pixels) {
  let hash = 2166136261;
  for (let i = 0; i < (pixels?.length ?? 0); i += 1) {
    if (pixels[i]) hash = Math.imul(Math.imul(hash ^ i, 16777619) ^ pixels[i], 16777619);
  }
  return String(hash >>> 0);
}

/** Make an empty one. @param {any} segmentationService @param {any} displaySet @param {string} segmentationId */
export function newLabelmap(segmentationService, displaySet, segmentationId) {
  const segments = Object.fromEntries(
    CLASSES.map(({ index, label }) => [
      index,
      { segmentIndex: index, label, active: label === "malignant", locked: false, cachedStats: {} },
    ]),
  );
  return segmentationService.createLabelmapForDisplaySet(displaySet, { segmentationId, label: "Reading", segments });
}

/**
 * Give a segmentation that began elsewhere (OHIF's own button makes a "Segment 1") our two classes.
 * @param {any} segmentationService @param {string} segmentationId @param {string} viewportId
 */
export function nameSegments(segmentationService, segmentationId, viewportId) {
  const segmentation = segmentationService.getSegmentation(segmentationId);
  const names = Object.values(segmentation.segments).map((segment) => segment.label);
  if (names.length === 1 && /^Segment 1$/.test(names[0])) {
    // What was drawn so far has index 1, the index that means benign everywhere.
    segmentationService.setSegmentLabel(segmentationId, 1, "benign");
  }
  for (const { index, label, color } of CLASSES) {
    const known = segmentationService.getSegmentation(segmentationId).segments[index];
    if (!known) segmentationService.addSegment(segmentationId, { segmentIndex: index, label, isLocked: false });
    if (!known || known.label === label) {
      segmentationService.setSegmentColor(viewportId, segmentationId, index, color);
    }
  }
}

/**
 * A segmentation as a DICOM file, as OHIF itself would store it.
 * @param {{commandsManager: any, extensionManager: any, segmentationService: any}} tools
 * @param {string} segmentationId
 * @returns {Promise<Uint8Array>}
 */
export async function dicomOf({ commandsManager, extensionManager, segmentationService }, segmentationId) {
  const pixels = pixelsOf(segmentationService, segmentationId);
  if (!pixels) throw new Error("the outline is not loaded yet; wait for it and save again");
  const empty = !pixels.some((value) => value !== 0);
  // Not the AI's object continued: a reading of its own, and in a series of its own.
  const options = { SeriesDescription: "Reading", SeriesNumber: 9100, predecessorImageId: "" };
  let dataset;
  if (empty) {
    // "No lesion" is a reading too, but OHIF makes no object of an empty one: lend it a pixel meanwhile.
    pixels[0] = 1;
    try {
      const generate = { ...options, transferSyntaxUID: EXPLICIT_LITTLE_ENDIAN, transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN };
      ({ dataset } = commandsManager.run("generateSegmentation", { segmentationId, options: generate }));
    } finally {
      pixels[0] = 0;
    }
    dataset.PixelData = blank(dataset.PixelData);
  } else {
    ({ dataset } = commandsManager.run("generateSegmentation", { segmentationId, options }));
  }
  const [source] = extensionManager.getActiveDataSource();
  const caught = new CaughtRequest();
  await source.store.dicom(dataset, caught);
  return caught.file();
}

/** @param {any} data pixel data in any of the shapes that dcmjs takes @returns {any} as much of zeros */
function blank(data) {
  if (Array.isArray(data)) return data.map(blank);
  return new ArrayBuffer(data.byteLength);
}

/**
 * OHIF writes DICOM only into a request to its archive. Handed this in place of an XMLHttpRequest (which its data
 * source allows), it writes here, and nothing is sent.
 */
class CaughtRequest {
  readyState = 0;
  status = 0;
  response = "";
  responseType = "";
  /** @type {Uint8Array} */
  _body = new Uint8Array();

  open() {}
  setRequestHeader() {}
  getResponseHeader() {
    return null;
  }

  /** @param {ArrayBuffer | Uint8Array} body one part of ``multipart/related`` */
  send(body) {
    this._body = new Uint8Array(body.buffer ?? body);
    this.readyState = 4;
    this.status = 200;
    this.onreadystatechange?.();
  }

  /** @returns {Uint8Array} the part's content */
  file() {
    const start = find(this._body, "\r\n\r\n", 0) + 4;
    const boundary = text(this._body.subarray(0, start)).trimStart().split("\r\n")[0];
    const end = findLast(this._body, `\r\n${boundary}--`);
    if (start < 4 || end < start) throw new Error("OHIF wrote no DICOM object; nothing was saved");
    return this._body.slice(start, end);
  }
}

/** @param {Uint8Array} bytes */
const text = (bytes) => String.fromCharCode(...bytes);

/** @param {Uint8Array} bytes @param {string} wanted @param {number} from */
function find(bytes, wanted, from) {
  for (let i = from; i <= Math.min(bytes.length - wanted.length, from + 4096); i += 1) {
    if (text(bytes.subarray(i, i + wanted.length)) === wanted) return i;
  }
  return -1;
}

/** @param {Uint8Array} bytes @param {string} wanted */
function findLast(bytes, wanted) {
  for (let i = bytes.length - wanted.length; i >= Math.max(0, bytes.length - 4096); i -= 1) {
    if (text(bytes.subarray(i, i + wanted.length)) === wanted) return i;
  }
  return -1;
}
