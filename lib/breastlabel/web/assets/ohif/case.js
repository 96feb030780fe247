/**
 * The case under the reader's eyes: what the server says of it, and how long it has been looked at.
 * @module
 */
import { ask } from "/assets/api.js";

/**
 * @typedef {object} CaseImage One image, as in ``GET /api/cases/find``.
 * @property {string} image_id
 * @property {string} name ours, for the reader; see `nameOf`.
 * @property {string | null} laterality
 * @property {string | null} view_position
 * @property {string} study_instance_uid
 * @property {string} series_instance_uid
 * @property {string} sop_instance_uid
 * @property {{version: number, tag: string, state: string, label: string | null} | null} label
 * @property {any} [result] the newest proposal's answer; missing where it is withheld.
 * @property {{series_instance_uid: string, sop_instance_uid: string} | null} [segmentation] the AI's.
 */

/** @typedef {{case_id: string, modality: string, images: CaseImage[], priors: any[], breasts?: any[]}} CaseData */

/** Says ``change`` when anything of it changes. */
export class Case extends EventTarget {
  /** @param {string} clientId this browser's name towards the server */
  constructor(clientId) {
    super();
    this.clientId = clientId;
    /** @type {CaseData | null} */
    this.data = null;
    /** @type {any} */
    this.settings = { blinded_first_reading: false, birads: [], lesion_types: [] };
    /** @type {any} */
    this.training = null;
    /** Why there is no case; empty where there is one. */
    this.problem = "";
    /** @type {string | null} */
    this.wanted = null;
    /** @type {string[]} studies that the viewer has been told to load */
    this.loaded = [];
    this._seconds = 0;
    this._since = visibleNow();
    document.addEventListener("visibilitychange", () => this._tick());
  }

  /**
   * @param {string} study its Study Instance UID
   * @param {string | null} wanted the image to show first
   */
  async open(study, wanted = null) {
    this.study = study;
    this.wanted = wanted;
    try {
      this.settings = await ask("/api/settings");
      await this.refresh();
    } catch (error) {
      this.problem = error.message;
      this.changed();
    }
  }

  /** Ask for the case again, after something was saved, run or revealed. */
  async refresh() {
    if (!this.study) return;
    const query = new URLSearchParams({ study_instance_uid: this.study, client_id: this.clientId });
    this.data = await ask(`/api/cases/find?${query}`);
    const several = this.images().length > 1;
    this.images().forEach((image, number) => {
      const name = [image.laterality, image.view_position].filter(Boolean).join(" ");
      image.name = name || (several ? `Image ${number + 1}` : "Image");
    });
    this.problem = "";
    this.changed();
  }

  /** Show the AI's opinion before the reader's own; the server notes it. */
  async reveal() {
    await ask(`/api/cases/${encodeURIComponent(this.data.case_id)}/reveal`, { json: { client_id: this.clientId } });
    await this.refresh();
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** @returns {CaseImage[]} */
  images() {
    return this.data?.images ?? [];
  }

  /** @param {string | undefined} sop @returns {CaseImage | undefined} an image of the current exam */
  imageOf(sop) {
    return this.images().find((image) => image.sop_instance_uid === sop);
  }

  /** Whether the AI's opinion is withheld until the reader has one. */
  withheld() {
    return Boolean(this.data?.withheld);
  }

  /** The viewer shows these studies, the current one first. @param {string[]} studies */
  async enter(studies) {
    if (studies[0] !== this.study) await this.open(studies[0]);
    this.loaded = studies;
  }

  /** @returns {"mammography" | "mammography with prior" | "one"} which hanging protocol fits */
  kind() {
    if (this.data?.modality !== "MG") return "one";
    const older = this.data.priors?.[0]?.images ?? [];
    const there = older.some((image) => this.loaded.includes(image.study_instance_uid));
    return there ? "mammography with prior" : "mammography";
  }

  /** @returns {string[]} the studies to open: the exam's first, then its newest prior's */
  studies() {
    const uids = [...this.images(), ...(this.data?.priors?.[0]?.images ?? [])].map((i) => i.study_instance_uid);
    return [...new Set([this.study, ...uids].filter(Boolean))];
  }

  /**
   * @param {{SOPInstanceUID?: string}} instance
   * @returns {string} as ``current R CC``; ``wanted`` for the image to begin with where images hang one at a time
   */
  place(instance) {
    const sop = instance?.SOPInstanceUID;
    const own = this.imageOf(sop);
    if (own && this.data?.modality !== "MG") {
      const first = this.images().find((image) => image.image_id === this.wanted) ?? this.images()[0];
      return own === first ? "wanted" : "other";
    }
    if (own) return `current ${own.laterality} ${own.view_position}`;
    const older = this.data?.priors?.[0]?.images?.find((image) => image.sop_instance_uid === sop);
    return older ? `prior ${older.laterality} ${older.view_position}` : "other";
  }

  /** Seconds since the case was opened or last saved, without those in which the page was hidden. */
  seconds() {
    this._tick();
    return Math.round(this._seconds * 10) / 10;
  }

  restartClock() {
    this._seconds = 0;
    this._since = visibleNow();
  }

  _tick() {
    if (this._since !== null) this._seconds += (performance.now() - this._since) / 1000;
    this._since = visibleNow();
  }
}

/** @returns {number | null} */
const visibleNow = () => (document.visibilityState === "visible" ? performance.now() : null);

/** @param {CaseImage} image @returns {string} as a reader calls it: ``R CC``, or its number where it has no side and view */
export const nameOf = (image) => image.name;
