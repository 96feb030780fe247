/**
 * Where the network looked: the heat map of each image as a picture laid over its viewport, which follows its zoom,
 * shift and turn.
 * @module
 */
const RENDERED = "CORNERSTONE_IMAGE_RENDERED";

export class HeatMaps {
  /** @param {any} views */
  constructor(views) {
    this.views = views;
    this.visible = false;
    /** @type {Map<HTMLElement, {picture: HTMLImageElement, imageId: string, follow: () => void}>} */
    this._shown = new Map();
  }

  /** @param {boolean} visible */
  show(visible) {
    this.visible = visible;
    this.sync();
  }

  /** After another image was hung, or another case opened. */
  sync() {
    const wanted = new Map();
    if (this.visible) {
      for (const { viewport, image } of this.views.list()) {
        if (image?.result) wanted.set(viewport.element, image);
      }
    }
    for (const [element, { imageId }] of this._shown) {
      if (wanted.get(element)?.image_id !== imageId) this._remove(element);
    }
    for (const [element, image] of wanted) {
      if (!this._shown.has(element)) this._add(element, image);
    }
  }

  /** @param {HTMLElement} element @param {any} image */
  _add(element, image) {
    const picture = document.createElement("img");
    picture.className = "breastlabel-heat-map";
    picture.alt = `heat map of ${image.image_id}`;
    const follow = () => this._place(picture, image.image_id);
    picture.addEventListener("load", follow);
    picture.addEventListener("error", () => this._remove(element));
    const query = new URLSearchParams({ layer: "heatmap", client_id: this.views.reading.clientId });
    picture.src = `/api/images/${encodeURIComponent(image.image_id)}/overlay.png?${query}`;
    element.append(picture);
    element.addEventListener(RENDERED, follow);
    this._shown.set(element, { picture, imageId: image.image_id, follow });
  }

  /** @param {HTMLElement} element */
  _remove(element) {
    const shown = this._shown.get(element);
    if (!shown) return;
    element.removeEventListener(RENDERED, shown.follow);
    shown.picture.remove();
    this._shown.delete(element);
  }

  /** An affine map from the picture's pixels to the canvas, from three corners. */
  _place(picture, imageId) {
    const { naturalWidth: width, naturalHeight: height } = picture;
    const view = this.views.ready(imageId);
    if (!width || !view) return;
    const { dimensions } = view.viewport.getImageData();
    // A pixel's outer corner lies half a pixel before its centre.
    const origin = this.views.toCanvas(imageId, -0.5, -0.5);
    const right = this.views.toCanvas(imageId, -0.5, dimensions[0] - 0.5);
    const below = this.views.toCanvas(imageId, dimensions[1] - 0.5, -0.5);
    if (!origin || !right || !below) return;
    const a = (right[0] - origin[0]) / width;
    const b = (right[1] - origin[1]) / width;
    const c = (below[0] - origin[0]) / height;
    const d = (below[1] - origin[1]) / height;
    picture.style.transform = `matrix(${a}, ${b}, ${c}, ${d}, ${origin[0]}, ${origin[1]})`;
  }
}
