/**
 * A heat map over its image, and the region that is at least so hot: drawn here, so that the threshold follows the
 * slider at once.
 * @module
 */

export class HeatMap {
  /**
   * @param {string} image address of the grey picture.
   * @param {string} heat address of the heat, grey: 255 at its peak.
   * @param {HTMLElement} tools holds a slider (percent of the peak), an output, a checkbox and a status.
   */
  constructor(image, heat, tools) {
    this.canvas = document.createElement("canvas");
    this.slider = tools.querySelector("input[type=range]");
    this.colours = tools.querySelector("input[type=checkbox]");
    this.output = tools.querySelector("output");
    this.status = tools.querySelector("[role=status]");
    this.ready = this.#load(image, heat);
    for (const input of [this.slider, this.colours]) input.addEventListener("input", () => this.draw());
  }

  async #load(image, heat) {
    const [grey, hot] = await Promise.all([pixels(image), pixels(heat)]);
    [this.canvas.width, this.canvas.height] = [grey.width, grey.height];
    this.grey = grey;
    this.heat = Uint8Array.from({ length: hot.width * hot.height }, (_, i) => hot.data[4 * i]);
    this.draw();
  }

  /** Anew, with the slider as it stands. */
  draw() {
    if (!this.grey) return;
    const { width, height } = this.canvas;
    const from = (Number(this.slider.value) / 100) * 255;
    const drawn = new ImageData(new Uint8ClampedArray(this.grey.data), width, height);
    let inside = 0;
    for (let i = 0; i < this.heat.length; i++) {
      const value = this.heat[i];
      const hot = value >= from && value > 0;
      if (hot) inside++;
      if (this.colours.checked) blend(drawn.data, 4 * i, colour(value / 255), 0.6 * Math.sqrt(value / 255));
      if (hot && this.#onEdge(i, width, from)) blend(drawn.data, 4 * i, [255, 255, 255], 1);
    }
    this.canvas.getContext("2d").putImageData(drawn, 0, 0);
    const share = (100 * inside) / this.heat.length;
    this.output.textContent = `${this.slider.value} % of the peak`;
    this.status.textContent = inside ? `the region is ${share.toFixed(1)} % of the image` : "no region";
    this.canvas.dataset.region = share.toFixed(2);
  }

  /** Whether a pixel of the region is within two of its border; the image's own border is none. */
  #onEdge(i, width, from) {
    const column = i % width;
    for (const step of [1, 2]) {
      if (column >= step && this.heat[i - step] < from) return true;
      if (column + step < width && this.heat[i + step] < from) return true;
      // Beyond the first and the last row there is nothing, which is not colder.
      if (this.heat[i - step * width] < from || this.heat[i + step * width] < from) return true;
    }
    return false;
  }
}

/** @param {string} address @returns {Promise<ImageData>} */
async function pixels(address) {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight);
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Dark blue over red to yellow. @param {number} unit */
function colour(unit) {
  return [Math.min(255, 60 + 260 * unit), Math.max(0, 320 * unit - 90), Math.max(0, 150 - 220 * unit)];
}

/** @param {Uint8ClampedArray} data @param {number} at @param {number[]} rgb @param {number} alpha */
function blend(data, at, rgb, alpha) {
  for (let c = 0; c < 3; c++) data[at + c] = (1 - alpha) * data[at + c] + alpha * rgb[c];
}
