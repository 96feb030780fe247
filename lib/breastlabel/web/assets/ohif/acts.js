/**
 * What the reader asks for: running the AI, accepting, saving, the next case. Each says in one line what came of it.
 * @module
 */
import { ask } from "/assets/api.js";
import { nameOf } from "./case.js";

/** @param {any} image @param {string} what */
const address = (image, what) => `/api/images/${encodeURIComponent(image.image_id)}/${what}`;

export class Acts {
  /** @param {{reading: any, views: any, drawings: any, heatMaps: any}} tools */
  constructor({ reading, views, drawings, heatMaps }) {
    Object.assign(this, { reading, views, drawings, heatMaps });
    this.restart();
  }

  /** For another case. */
  restart() {
    this.caseId = this.reading.data?.case_id;
    this.said = { birads: "", lesion_type: "" };
    /** Images that the AI was asked about anew and that were not dealt with since. @type {Set<string>} */
    this.asked = new Set();
    this.leaving = false;
  }

  /** Images that the AI judged, that nobody has read since, and on which nothing is drawn. @returns {any[]} */
  acceptable() {
    return this.reading
      .images()
      .filter((image) => image.result && !this.drawings.isChanged(image.image_id))
      .filter((image) => this.asked.has(image.image_id) || !isReadSince(image));
  }

  /** BI-RADS and lesion type, as far as they were said, and the time. */
  _fields() {
    const said = Object.entries(this.said).filter(([, value]) => value);
    return { ...Object.fromEntries(said), seconds_spent: this.reading.seconds() };
  }

  /** Run the AI on the case. The views of a breast are judged together, so one of them is asked for. */
  async run() {
    const { reading } = this;
    const images = reading.data?.modality === "MG" ? oneABreast(reading.images()) : reading.images();
    this.drawings.makeRoom();
    for (const image of images) {
      await ask(address(image, "run"), { json: { client_id: reading.clientId } });
      await reading.refresh();
      await this.drawings.sync();
    }
    // A reading may stand already, and the AI say the same as before it.
    this.asked = new Set(reading.images().map((image) => image.image_id));
    this.heatMaps.sync();
    return "The AI has read the case.";
  }

  /** The AI's outlines become this reader's final labels. */
  async accept() {
    const { reading } = this;
    const fields = { client_id: reading.clientId, ...this._fields() };
    const versions = [];
    for (const image of this.acceptable()) {
      const json = { ...fields, proposal_version: image.result.proposal_version };
      const { version } = await ask(address(image, "accept"), { json });
      this.asked.delete(image.image_id);
      versions.push(`${nameOf(image)}: version ${version}`);
    }
    reading.restartClock();
    await reading.refresh();
    return `Accepted. ${versions.join(", ")}`;
  }

  /** What was drawn becomes label versions; where nothing was, the view before the reader does, as it is. */
  async save() {
    const { reading, drawings } = this;
    const active = this.views.active()?.image;
    const drawn = drawings.changed();
    const images = drawn.length || !active ? drawn : [active];
    if (!images.length) throw new Error("an image of the case is required; none hangs in a view; show one and save again");
    const fields = this._fields();
    const saved = [];
    const refused = [];
    for (const image of images) {
      const { status, labels, reason } = await drawings.save(image.image_id, fields);
      if (status === "saved") {
        this.asked.delete(image.image_id);
        saved.push(`${nameOf(image)}: version ${labels.map(({ version }) => version).join(", ")}`);
      } else {
        refused.push(`${nameOf(image)}: ${reason || status}`);
      }
    }
    reading.restartClock();
    await reading.refresh();
    await drawings.sync();
    if (refused.length) throw new Error([...refused, ...saved].join("; "));
    return `Saved. ${saved.join(", ")}`;
  }

  /** The AI's opinion before the reader's own. */
  async reveal() {
    await this.reading.reveal();
    await this.drawings.sync();
  }

  /** Go to the case where a reading helps most. */
  async next() {
    const { reading } = this;
    const unsaved = this.drawings.changed();
    if (unsaved.length && !this.leaving) {
      this.leaving = true;
      throw new Error(`${unsaved.map(nameOf).join(", ")}: drawn on and not saved; save, or press Next case again`);
    }
    const json = { client_id: reading.clientId, skip: [reading.data?.case_id].filter(Boolean) };
    if (reading.data) json.modality = reading.data.modality;
    const found = await ask("/api/cases/next", { json });
    if (!found.ohif) throw new Error("the next case has no DICOM study; open it from the worklist");
    window.location.assign(found.ohif);
  }
}

/** @param {any} image @returns {boolean} whether its final label is newer than what the AI says */
function isReadSince({ label, result }) {
  return label?.state === "final" && label.version > result.proposal_version;
}

/** @param {any[]} images @returns {any[]} the first of each breast; all that name no breast */
function oneABreast(images) {
  const first = new Set();
  return images.filter(({ laterality }) => {
    if (laterality && first.has(laterality)) return false;
    first.add(laterality);
    return true;
  });
}
