/**
 * What hangs where: from a viewport to the image of the case and back, and from an image's pixel to the page.
 * @module
 */

/** @typedef {import("./case.js").Case} Case */
/** @typedef {import("./case.js").CaseImage} CaseImage */
/** @typedef {{viewportId: string, viewport: any, displaySet: any, image: CaseImage | undefined}} View */

export class Views {
  /** @param {any} services OHIF's @param {Case} reading */
  constructor(services, reading) {
    this.services = services;
    this.reading = reading;
  }

  /** @returns {View[]} the viewports that show an image, of the case or not */
  list() {
    const { viewportGridService, cornerstoneViewportService, displaySetService } = this.services;
    const views = [];
    // Before the viewer's first page there is no grid.
    if (!viewportGridService.serviceImplementation?._getState) return views;
    for (const [viewportId, { displaySetInstanceUIDs }] of viewportGridService.getState().viewports) {
      const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportId);
      const [uid] = displaySetInstanceUIDs ?? [];
      const displaySet = uid && displaySetService.getDisplaySetByUID(uid);
      if (!viewport || !displaySet) continue;
      const sop = displaySet.instances?.[0]?.SOPInstanceUID;
      views.push({ viewportId, viewport, displaySet, image: this.reading.imageOf(sop) });
    }
    return views;
  }

  /** @returns {View | undefined} the one the reader clicked last, or the first one with an image of the case */
  active() {
    const views = this.list().filter((view) => view.image);
    const activeId = this.services.viewportGridService.getActiveViewportId();
    return views.find((view) => view.viewportId === activeId) ?? views[0];
  }

  /** @param {string} imageId @returns {View | undefined} */
  of(imageId) {
    return this.list().find((view) => view.image?.image_id === imageId);
  }

  /** @param {string} imageId @returns {any} the display set of an image of the case, hung or not */
  displaySetOf(imageId) {
    const image = this.reading.images().find((one) => one.image_id === imageId);
    return this.services.displaySetService
      .getActiveDisplaySets()
      .find((set) => !set.isOverlayDisplaySet && set.instances?.[0]?.SOPInstanceUID === image?.sop_instance_uid);
  }

  /** Show an image: in its viewport where it hangs, else in the active one. @param {string} imageId */
  async show(imageId) {
    const { viewportGridService } = this.services;
    const view = this.of(imageId);
    if (view) {
      viewportGridService.setActiveViewportId(view.viewportId);
      return view;
    }
    const displaySet = this.displaySetOf(imageId);
    if (!displaySet) return undefined;
    const viewportId = viewportGridService.getActiveViewportId();
    viewportGridService.setDisplaySetsForViewport({
      viewportId,
      displaySetInstanceUIDs: [displaySet.displaySetInstanceUID],
    });
    return until(() => this.ready(imageId), 20000);
  }

  /** @param {string} imageId @returns {View | undefined} its view, once pixels are there */
  ready(imageId) {
    const view = this.of(imageId);
    return view?.viewport.getImageData?.() ? view : undefined;
  }

  /**
   * @param {string} imageId @param {number} row @param {number} column 0.0 is the first pixel's centre
   * @returns {[number, number] | undefined} x, y within the viewport's canvas, in CSS pixels
   */
  toCanvas(imageId, row, column) {
    const view = this.ready(imageId);
    if (!view) return undefined;
    const world = view.viewport.getImageData().imageData.indexToWorld([column, row, 0]);
    return view.viewport.worldToCanvas([...world]);
  }

  /** The same in the page. @returns {[number, number] | undefined} */
  toPage(imageId, row, column) {
    const point = this.toCanvas(imageId, row, column);
    const box = this.of(imageId)?.viewport.canvas.getBoundingClientRect();
    return point && box && [box.left + point[0], box.top + point[1]];
  }

  /**
   * Bring a part of an image into the middle of its viewport, some four times as large as it is.
   * @param {string} imageId @param {[number, number, number, number]} box row0, col0, row1, col1
   */
  async jump(imageId, [row0, column0, row1, column1]) {
    await this.show(imageId);
    const view = await until(() => this.ready(imageId), 20000);
    if (!view) return;
    const { viewport } = view;
    const { imageData, dimensions } = viewport.getImageData();
    const side = Math.max(row1 - row0, column1 - column0, 16);
    const zoom = Math.min(8, Math.max(1, Math.max(dimensions[0], dimensions[1]) / (side * 5)));
    viewport.resetCamera?.();
    viewport.setZoom?.(zoom);
    const [x, y] = viewport.worldToCanvas([
      ...imageData.indexToWorld([(column0 + column1 - 1) / 2, (row0 + row1 - 1) / 2, 0]),
    ]);
    const { clientWidth, clientHeight } = viewport.element;
    const camera = viewport.getCamera();
    const from = viewport.canvasToWorld([clientWidth / 2, clientHeight / 2]);
    const to = viewport.canvasToWorld([x, y]);
    const moved = (point) => point.map((value, axis) => value + to[axis] - from[axis]);
    viewport.setCamera({ ...camera, focalPoint: moved(camera.focalPoint), position: moved(camera.position) });
    viewport.render();
  }
}

/**
 * @template T
 * @param {() => T} what @param {number} milliseconds
 * @returns {Promise<T | undefined>} the first answer that is not empty; undefined where none came in time
 */
export async function until(what, milliseconds) {
  const end = performance.now() + milliseconds;
  for (;;) {
    const answer = what();
    if (answer) return answer;
    if (performance.now() > end) return undefined;
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

/**
 * @template T
 * @param {Promise<T>} promise @param {number} milliseconds @param {string} what for the message
 * @returns {Promise<T>} the same, or an error where it takes longer
 */
export function within(promise, milliseconds, what) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${what} took more than ${milliseconds / 1000} s`)), milliseconds);
    promise.then(resolve, reject).finally(() => clearTimeout(late));
  });
}
