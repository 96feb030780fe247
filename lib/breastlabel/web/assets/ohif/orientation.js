/**
 * OHIF reads a segmentation only where it says how its planes lie in the patient. One of a mammogram or of an ultrasound
 * still says it no more than the image itself does; for those OHIF takes the image's rows and columns as axes. So the
 * same is said of the segmentation, in the viewer's memory alone.
 * @module
 */

/** @param {any} displaySet of a DICOM SEG */
export function sayOrientation(displaySet) {
  if (displaySet?.Modality !== "SEG") return;
  const groups = displaySet.instance?.SharedFunctionalGroupsSequence;
  const shared = Array.isArray(groups) ? groups[0] : groups;
  const frames = [displaySet.instance?.PerFrameFunctionalGroupsSequence ?? []].flat();
  if (shared?.PlaneOrientationSequence || frames.some((frame) => frame?.PlaneOrientationSequence)) return;
  // An object, not a list of one: what OHIF reads of it afterwards is no longer wrapped.
  const plane = { ImageOrientationPatient: [1, 0, 0, 0, 1, 0] };
  if (shared) shared.PlaneOrientationSequence = plane;
  else if (displaySet.instance) displaySet.instance.SharedFunctionalGroupsSequence = { PlaneOrientationSequence: plane };
}

/** Do so for every segmentation that comes. @param {any} displaySetService */
export function sayOrientations(displaySetService) {
  displaySetService.subscribe(displaySetService.EVENTS.DISPLAY_SETS_ADDED, ({ displaySetsAdded }) => {
    displaySetsAdded.forEach(sayOrientation);
  });
}
