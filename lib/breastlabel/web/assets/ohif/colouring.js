/**
 * Whether an outline is seen in its colours. Cornerstone hangs a label map with a stand-in for them, which is opaque
 * black, and colours it a queue of frames later: on a slow machine a reader would see black lesions meanwhile.
 * @module
 */
import { until } from "./views.js";

const LONGEST = 10000;
const AGAIN = 1000;
/** Milliseconds from one look to the next. */
const LOOKS = [300, 700, 1000, 2000];
/** @type {ReturnType<typeof setTimeout> | undefined} */
let again;
/** The darkest that a class's brightest channel may be; the stand-in's is nearly 0. */
const BRIGHT = 0.2;

/** @param {any} view @param {string} segmentationId @returns {any} VTK's property of the outline, once it hangs */
function propertyOf(view, segmentationId) {
  const own = ({ representationUID: uid }) => typeof uid === "string" && uid.startsWith(`${segmentationId}-`);
  return view.viewport.getActors?.().find(own)?.actor.getProperty();
}

/** @param {any} view @param {string} segmentationId @returns {boolean} */
function isColoured(view, segmentationId) {
  const colours = propertyOf(view, segmentationId)?.getRGBTransferFunction(0);
  const brightest = (value) => {
    const colour = [0, 0, 0];
    colours?.getColor(value, colour);
    return Math.max(...colour);
  };
  return brightest(1) > BRIGHT || brightest(2) > BRIGHT;
}

/** Nothing is better than black. @param {any} view @param {string} segmentationId */
function hideStandIn(view, segmentationId) {
  const opacity = propertyOf(view, segmentationId)?.getScalarOpacity(0);
  if (!opacity?.getValue(1)) return;
  opacity.removeAllPoints();
  opacity.addPoint(0, 0);
  view.viewport.render();
}

/**
 * Wait until every outline that hangs has its colours and has been drawn with them, and ask for it where it has not.
 * @param {{view: any, segmentationId: string}[]} shown
 */
export async function colour(shown) {
  const black = () => shown.filter(({ view, segmentationId }) => !isColoured(view, segmentationId));
  const waiting = black();
  let asked = -Infinity;
  await until(() => {
    const left = black();
    for (const { view, segmentationId } of left) hideStandIn(view, segmentationId);
    if (left.length && performance.now() > asked + AGAIN) {
      redraw();
      asked = performance.now();
    }
    return !left.length;
  }, LONGEST);
  await Promise.all(waiting.map(({ view }) => rendered(view.viewport)));
}

/** Colour and draw every outline of every viewport, and look again: a busy one may miss the last of several news. */
export function redraw() {
  clearTimeout(again);
  const look = ([next, ...later]) => {
    window.cornerstoneTools.utilities.segmentation.triggerSegmentationRender();
    for (const engine of window.cornerstone.getRenderingEngines()) engine.render();
    if (next) again = setTimeout(() => look(later), next);
  };
  look(LOOKS);
}

/** @param {any} viewport @returns {Promise<void>} when it has been drawn anew */
function rendered(viewport) {
  return new Promise((done) => {
    const { element } = viewport;
    const end = () => {
      clearTimeout(late);
      element.removeEventListener(window.cornerstone.Enums.Events.IMAGE_RENDERED, end);
      done();
    };
    const late = setTimeout(end, LONGEST);
    element.addEventListener(window.cornerstone.Enums.Events.IMAGE_RENDERED, end);
    viewport.render();
  });
}
