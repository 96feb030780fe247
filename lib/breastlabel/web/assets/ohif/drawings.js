/**
 * The outlines on the images: the AI's, loaded from the archive, and what the reader makes of them.
 * @module
 */
import { ask } from "/assets/api.js";
import { colour, redraw } from "./colouring.js";
import { CLASSES, dicomOf, fingerprint, nameSegments, newLabelmap, pixelsOf } from "./labelmap.js";
import { displaySetOf, load } from "./loading.js";
import { until } from "./views.js";

const LABELMAP = "Labelmap";
const BRUSH = "CircularBrush";
const ERASER = "CircularEraser";
const NO_TOOL = "WindowLevel";

/** @typedef {{segmentationId: string, series: string | null, asLoaded: string, saved: boolean}} Drawing */

/** Says ``change`` when an outline comes or goes. */
export class Drawings extends EventTarget {
  /** @param {{services: any, commandsManager: any, extensionManager: any, views: any, reading: any}} tools */
  constructor({ services, commandsManager, extensionManager, views, reading }) {
    super();
    Object.assign(this, { services, commandsManager, extensionManager, views, reading });
    /** @type {Map<string, Drawing>} by image id */
    this.drawings = new Map();
    /** Ids of the segmentations that were made or loaded here. @type {Set<string>} */
    this._ours = new Set();
    this.visible = true;
    this.tool = "";
    this.radius = 4;
    this._queue = Promise.resolve();
    /** Whether every outline that was asked for is there. */
    this.settled = true;
    this._waiting = 0;
    /** @type {string[]} what went wrong, for whoever asks */
    this.problems = [];
  }

  /** Bring every image of the case that hangs its outline; safe to call often. @returns {Promise<void>} */
  sync() {
    this._waiting += 1;
    this.settled = false;
    this._queue = this._queue
      .then(() => this._sync())
      .catch((error) => this.problems.push(String(error?.message ?? error)))
      .then(() => {
        this._waiting -= 1;
        this.settled = this._waiting === 0;
      });
    return this._queue;
  }

  async _sync() {
    for (const view of this.views.list()) {
      if (!view.image || !this.views.ready(view.image.image_id)) continue;
      const series = view.image.segmentation?.series_instance_uid ?? null;
      const known = this.drawings.get(view.image.image_id);
      // A newer proposal takes the older one's place, unless the reader has drawn, or saved an own reading.
      const kept = known && (known.series === series || known.saved || this.isChanged(view.image.image_id));
      if (series && !kept) {
        if (known) this._forget(view.image.image_id);
        await this._load(view.image, series);
      }
      await this._represent(view);
    }
    await colour(this._shown());
  }

  /** @returns {{view: any, segmentationId: string}[]} the outlines that hang */
  _shown() {
    const { segmentationService } = this.services;
    return this.views.list().flatMap((view) => {
      const { segmentationId } = (view.image && this.drawings.get(view.image.image_id)) ?? {};
      const there = segmentationId
        && segmentationService.getSegmentationRepresentations(view.viewportId, { segmentationId }).length;
      return there ? [{ view, segmentationId }] : [];
    });
  }

  /** @param {any} image @param {string} series the AI's segmentation of it */
  async _load(image, series) {
    const displaySet = await displaySetOf(this, image, series);
    this._ours.add(displaySet.displaySetInstanceUID);
    await load(this, displaySet, image);
    this._remember(image.image_id, displaySet.displaySetInstanceUID, series);
  }

  /** @param {string} imageId @param {string} segmentationId @param {string | null} series */
  _remember(imageId, segmentationId, series) {
    const asLoaded = fingerprint(pixelsOf(this.services.segmentationService, segmentationId));
    this.drawings.set(imageId, { segmentationId, series, asLoaded, saved: false });
    this.dispatchEvent(new Event("change"));
  }

  /** It was removed by other means: OHIF's menu, or its own export. @param {string} segmentationId */
  removed(segmentationId) {
    for (const [imageId, known] of this.drawings) {
      if (known.segmentationId === segmentationId) this.drawings.delete(imageId);
    }
  }

  /** @param {string} imageId */
  _forget(imageId) {
    const known = this.drawings.get(imageId);
    this.drawings.delete(imageId);
    if (known) this.services.segmentationService.remove(known.segmentationId);
  }

  /** Show an image's outline in its viewport, in our classes' colours. @param {any} view */
  async _represent(view) {
    const { segmentationService } = this.services;
    const known = this.drawings.get(view.image.image_id);
    if (!known) return;
    const { segmentationId } = known;
    const shown = () => segmentationService.getSegmentationRepresentations(view.viewportId, { segmentationId });
    if (shown().length) return;
    await segmentationService.addSegmentationRepresentation(view.viewportId, { segmentationId, type: LABELMAP });
    await until(() => shown().length, 5000);
    nameSegments(segmentationService, segmentationId, view.viewportId);
    segmentationService.setActiveSegment(segmentationId, this._class);
    if (!this.visible) this._setVisible(view.viewportId, segmentationId);
  }

  /**
   * A segmentation that came otherwise, by OHIF's own "add segmentation" or from its list of series, is the image's
   * from then on, unless what the reader has drawn before is not saved yet.
   * @param {string} segmentationId
   */
  async adopt(segmentationId) {
    if (this._ours.has(segmentationId)) return;
    const { segmentationService } = this.services;
    const shown = ({ viewportId }) =>
      segmentationService.getSegmentationRepresentations(viewportId, { segmentationId }).length > 0;
    const view = await until(() => this.views.list().find((one) => one.image && shown(one)), 20000);
    if (!view || this.isChanged(view.image.image_id)) return;
    this._ours.add(segmentationId);
    this._remember(view.image.image_id, segmentationId, null);
    nameSegments(segmentationService, segmentationId, view.viewportId);
    segmentationService.setActiveSegment(segmentationId, this._class);
  }

  /** @param {string} imageId @returns {Promise<Drawing | undefined>} its outline, an empty one where there is none */
  async ensure(imageId) {
    await this._queue;
    if (!this.drawings.has(imageId)) {
      const view = await until(() => this.views.ready(imageId), 20000);
      if (!view) return undefined;
      const segmentationId = `reading-${Date.now()}-${this._ours.size}`;
      this._ours.add(segmentationId);
      await newLabelmap(this.services.segmentationService, view.displaySet, segmentationId);
      this._remember(imageId, segmentationId, null);
      await this._represent(view);
      await colour(this._shown());
    }
    return this.drawings.get(imageId);
  }

  get _class() {
    return CLASSES.find(({ label }) => label === this.tool)?.index ?? 2;
  }

  /** Take a brush, the eraser, or neither. @param {"benign" | "malignant" | "erase" | ""} tool */
  async take(tool) {
    this.tool = tool;
    const name = tool === "erase" ? ERASER : tool ? BRUSH : NO_TOOL;
    if (tool) {
      for (const { image } of this.views.list()) if (image) await this.ensure(image.image_id);
    }
    this.setRadius(this.radius);
    this.commandsManager.run("setToolActive", { toolName: name, toolGroupId: "default" });
    if (tool && tool !== "erase") {
      for (const { segmentationId } of this.drawings.values()) {
        this.services.segmentationService.setActiveSegment(segmentationId, this._class);
      }
    }
    this.dispatchEvent(new Event("change"));
  }

  /** @param {number} radius of brush and eraser, in mm (in pixels where the image has no spacing) */
  setRadius(radius) {
    this.radius = radius;
    this.commandsManager.run("setBrushSize", { value: radius, toolNames: [BRUSH, ERASER] });
  }

  /** Show or hide the outlines. @param {boolean} visible */
  show(visible) {
    this.visible = visible;
    for (const view of this.views.list()) {
      const known = view.image && this.drawings.get(view.image.image_id);
      if (known) this._setVisible(view.viewportId, known.segmentationId);
    }
    redraw();
  }

  /** @param {string} viewportId @param {string} segmentationId */
  _setVisible(viewportId, segmentationId) {
    for (const { index } of CLASSES) {
      this.services.segmentationService.setSegmentVisibility(
        viewportId, segmentationId, index, this.visible, LABELMAP,
      );
    }
  }

  /** The reader asks for the AI's outlines anew: what was saved makes room for them. */
  makeRoom() {
    for (const drawing of this.drawings.values()) drawing.saved = false;
  }

  /** @param {string} imageId @returns {boolean} whether the reader has drawn since it was loaded or saved */
  isChanged(imageId) {
    const known = this.drawings.get(imageId);
    if (!known) return false;
    return fingerprint(pixelsOf(this.services.segmentationService, known.segmentationId)) !== known.asLoaded;
  }

  /** @returns {any[]} the images of the case on which the reader has drawn */
  changed() {
    return this.reading.images().filter(({ image_id: id }) => this.isChanged(id));
  }

  /**
   * Send an image's outline to the server, which makes a label version of it.
   * @param {string} imageId
   * @param {Record<string, string | number>} said BI-RADS, lesion type, seconds
   * @returns {Promise<{status: string, labels: {image_id: string, version: number}[], reason: string | null}>}
   */
  async save(imageId, said) {
    const drawing = await this.ensure(imageId);
    if (!drawing) throw new Error("the image does not hang in any view; show it and save again");
    const { commandsManager, extensionManager } = this;
    const { segmentationService } = this.services;
    const tools = { commandsManager, extensionManager, segmentationService };
    const body = await dicomOf(tools, drawing.segmentationId);
    const query = new URLSearchParams({ client_id: this.reading.clientId, complete: "true", ...said });
    const answer = await ask(`/api/segmentations?${query}`, {
      method: "POST",
      body,
      headers: { "Content-Type": "application/dicom" },
    });
    if (answer.status === "saved") {
      drawing.asLoaded = fingerprint(pixelsOf(segmentationService, drawing.segmentationId));
      drawing.saved = true;
    }
    return answer;
  }
}
