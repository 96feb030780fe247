/**
 * The panel beside the images: the AI's opinion, the reader's tools and fields, and what follows.
 * @module
 */
import { ask } from "/assets/api.js";
import { Acts } from "./acts.js";
import { button, choice, element, toggle } from "./elements.js";
import { breastsSection, findingsSection, headSection, imagesSection, trainingSection } from "./sections.js";

const NOTICE = "Research use only. Not a medical device. A prompt for a second look, not a verdict.";
const TRAINING_EVERY = 10000;

export class Panel {
  /** @param {{reading: any, views: any, drawings: any, heatMaps: any, services: any, commandsManager: any}} tools */
  constructor({ reading, views, drawings, heatMaps, services, commandsManager }) {
    Object.assign(this, { reading, views, drawings, heatMaps, services, commandsManager });
    this.root = element("div", { className: "breastlabel-panel", dataset: { cy: "breastlabel-panel" } });
    this.acts = new Acts({ reading, views, drawings, heatMaps });
    this.busy = "";
    /** @type {{unsubscribe: () => void}[]} */
    this._subscriptions = [];
    reading.addEventListener("change", () => this.draw());
    drawings.addEventListener("change", () => this.draw());
    this.draw();
  }

  /** @param {HTMLElement} place */
  mount(place) {
    place.append(this.root);
  }

  /** When the viewer shows the case. */
  start() {
    const { cornerstoneViewportService: viewports, segmentationService, viewportGridService: grid } = this.services;
    const follow = () => {
      void this.drawings.sync();
      this.heatMaps.sync();
    };
    this._subscriptions = [
      viewports.subscribe(viewports.EVENTS.VIEWPORT_DATA_CHANGED, follow),
      grid.subscribe(grid.EVENTS.VIEWPORTS_READY, follow),
      grid.subscribe(grid.EVENTS.ACTIVE_VIEWPORT_ID_CHANGED, () => this.draw()),
      segmentationService.subscribe(segmentationService.EVENTS.SEGMENTATION_ADDED, ({ segmentationId }) => {
        void this.drawings.adopt(segmentationId);
      }),
      segmentationService.subscribe(segmentationService.EVENTS.SEGMENTATION_REMOVED, ({ segmentationId }) => {
        this.drawings.removed(segmentationId);
      }),
      segmentationService.subscribe(segmentationService.EVENTS.SEGMENTATION_DATA_MODIFIED, () => {
        clearTimeout(this._later);
        this._later = setTimeout(() => this.draw(), 1000);
      }),
    ];
    this._poll = setInterval(() => void this._askTraining(), TRAINING_EVERY);
    // Pixels may come after the last event of their viewport.
    this._again = setInterval(follow, 2000);
    void this._askTraining();
  }

  stop() {
    clearInterval(this._poll);
    clearInterval(this._again);
    clearTimeout(this._later);
    for (const { unsubscribe } of this._subscriptions) unsubscribe();
    this._subscriptions = [];
  }

  async _askTraining() {
    try {
      const training = await ask("/api/training");
      if (JSON.stringify(training) === JSON.stringify(this.reading.training)) return;
      this.reading.training = training;
      this.reading.changed();
    } catch {
      // The next poll asks again; a training that nobody can see is no reason to disturb the reader.
    }
  }

  /** Draw the panel anew. */
  draw() {
    const { reading } = this;
    if (this.acts.caseId !== reading.data?.case_id) this.acts.restart();
    const at = this.root.scrollTop;
    const focused = this.root.contains(document.activeElement) ? document.activeElement.dataset.cy : "";
    this.root.replaceChildren(
      ...(reading.data ? this._case() : [this._none()]),
      trainingSection(reading.training),
      element("p", { className: "bl-notice" }, NOTICE),
    );
    this.root.scrollTop = at;
    // Whoever works by keyboard stays where they are.
    if (focused) this.root.querySelector(`[data-cy="${focused}"]`)?.focus({ preventScroll: true });
  }

  _none() {
    return element("p", { className: "bl-soft" }, this.reading.problem || "No case is open.");
  }

  _case() {
    const { reading } = this;
    return [
      headSection(reading, () => this.act("next")),
      imagesSection(reading, this.views),
      ...(reading.withheld() ? [this._withheld()] : [breastsSection(reading), findingsSection(reading, this.views)]),
      this._look(),
      this._draw(),
      this._reading(),
    ];
  }

  _withheld() {
    return element(
      "section",
      { dataset: { cy: "breastlabel-withheld" } },
      element("h3", {}, "Blinded first reading"),
      element("p", {}, "The AI's opinion appears once you have saved your own."),
      button("Show it now (noted)", "reveal", () => this.act("reveal")),
    );
  }

  _look() {
    const { drawings, heatMaps, reading } = this;
    const run = button(this.busy === "run" ? "Running…" : "Run AI", "run", () => this.act("run"));
    return element(
      "section",
      { className: "bl-row" },
      !reading.withheld() && run,
      toggle("Outlines", "show-mask", drawings.visible, (on) => drawings.show(on)),
      !reading.withheld() && toggle("Heat map", "show-heat-map", heatMaps.visible, (on) => heatMaps.show(on)),
    );
  }

  _draw() {
    const { drawings } = this;
    const tool = (text, name) =>
      button(text, `draw-${name || "off"}`, () => void drawings.take(name), {
        className: drawings.tool === name ? `bl-tool bl-chosen ${name}` : `bl-tool ${name}`,
        "aria-pressed": String(drawings.tool === name),
      });
    const radius = element("input", {
      type: "range", min: "0.5", max: "30", step: "0.5", value: String(drawings.radius),
      dataset: { cy: "breastlabel-radius" }, "aria-label": "brush radius",
    });
    radius.oninput = () => drawings.setRadius(Number(radius.value));
    return element(
      "section",
      {},
      element("h3", {}, "Draw"),
      element("div", { className: "bl-row" }, tool("Malignant", "malignant"), tool("Benign", "benign"), tool("Erase", "erase"), tool("Off", "")),
      element("label", { className: "bl-field" }, "Brush", radius),
    );
  }

  _reading() {
    const { reading } = this;
    const { said } = this.acts;
    const pending = this.acts.acceptable();
    const acceptText = pending.length > 1 ? `Accept AI (${pending.length} views)` : "Accept AI";
    return element(
      "section",
      {},
      element("h3", {}, "Your reading"),
      choice("BI-RADS", "birads", reading.settings.birads ?? [], said.birads, (value) => (said.birads = value)),
      choice("Lesion type", "lesion-type", reading.settings.lesion_types ?? [], said.lesion_type, (value) => (said.lesion_type = value)),
      element(
        "div",
        { className: "bl-row" },
        !reading.withheld() &&
          button(acceptText, "accept", () => this.act("accept"), { disabled: !pending.length || Boolean(this.busy) }),
        button(this.busy === "save" ? "Saving…" : "Save correction", "save", () => this.act("save"), {
          className: "bl-main",
          disabled: Boolean(this.busy),
        }),
      ),
    );
  }

  /** One thing at a time, and what came of it as one line. @param {"run" | "accept" | "save" | "reveal" | "next"} name */
  async act(name) {
    if (this.busy) return;
    this.busy = name;
    this.draw();
    try {
      const said = await this.acts[name]();
      if (said) this.toast(said, "success");
    } catch (error) {
      this.toast(error.message, "error");
    } finally {
      this.busy = "";
      this.draw();
    }
  }

  /** @param {string} message @param {"success" | "error" | "info" | "warning"} type */
  toast(message, type) {
    this.services.uiNotificationService.show({ title: "breastlabel", message, type, duration: 6000 });
  }
}
