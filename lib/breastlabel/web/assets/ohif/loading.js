/**
 * The AI's segmentations, from the archive into OHIF.
 * @module
 */
import { sayOrientation } from "./orientation.js";
import { until, within } from "./views.js";

const LONGEST = 30000;

/**
 * @param {{services: any, extensionManager: any}} tools OHIF's
 * @param {any} image @param {string} series the AI's segmentation of it
 * @returns {Promise<any>} its display set, for which the archive is asked where OHIF does not know it
 */
export async function displaySetOf({ services, extensionManager }, image, series) {
  const find = () =>
    services.displaySetService.getActiveDisplaySets().find((set) => set.SeriesInstanceUID === series);
  const known = find();
  if (known) return known;
  const [source] = extensionManager.getActiveDataSource();
  const StudyInstanceUID = image.study_instance_uid;
  // It may be newer than what OHIF knows of the study, and would answer from memory; it remembers under its
  // archive's name and the study, but forgets (3.13.2) by what it is told alone.
  source.deleteStudyMetadataPromise(`${source.getConfig().name}:${StudyInstanceUID}`);
  const asked = source.retrieve.series.metadata({ StudyInstanceUID, filters: { seriesInstanceUID: series } });
  await within(asked, LONGEST, "the segmentation's description");
  const found = await until(find, 20000);
  if (!found) throw new Error("the archive does not have the AI's segmentation");
  return found;
}

/**
 * Read a segmentation's pixels.
 * @param {{services: any, views: any}} tools @param {any} displaySet @param {any} image on which it is drawn
 */
export async function load({ services, views }, displaySet, image) {
  displaySet.referencedDisplaySetInstanceUID = views.displaySetOf(image.image_id)?.displaySetInstanceUID;
  sayOrientation(displaySet);
  // OHIF's reading may end without a word; the next look tries again.
  await within(displaySet.load({ headers: {} }), LONGEST, "the segmentation");
  displaySet.isHydrated = true;
  const segmentation = services.segmentationService.getSegmentation(displaySet.displaySetInstanceUID);
  // What OHIF's own export would continue: the reader's outline is not a version of the AI's object.
  if (segmentation) segmentation.predecessorImageId = undefined;
}
