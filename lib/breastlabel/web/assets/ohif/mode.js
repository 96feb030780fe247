/**
 * OHIF's segmentation mode with our panel, our hanging protocols and one image to a view. It keeps the mode's id and
 * address (``/ohif/segmentation``): of two modes with one id OHIF takes the first.
 * @module
 */
import { HANGING_PROTOCOLS } from "./hanging.js";

const ID = "@ohif/mode-segmentation";
const BASE = "@ohif/mode-basic";
const PANEL = "breastlabel.panelModule.ai";
const SINGLE = "breastlabel.sopClassHandlerModule.single";
const LABEL_MAPS = "@ohif/extension-cornerstone.panelModule.panelSegmentationWithToolsLabelMap";

/** @param {{loadModules: (names: string[]) => Promise<any[]>}} tools */
async function modeFactory({ loadModules }) {
  const [segmentation, basic] = await loadModules([ID, BASE]);
  const stock = segmentation.modeInstance;
  const route = stock.routes[0];
  const layout = route.layoutInstance;
  return {
    ...stock,
    displayName: "Breast reading",
    // The stock one turns to the tools' tab when a mask appears, away from the probabilities.
    onModeEnter: basic.modeInstance.onModeEnter,
    // A still of ultrasound is no film.
    modeCustomizations: { autoCineModalities: { $set: [] } },
    hangingProtocol: HANGING_PROTOCOLS.map((protocol) => protocol.id),
    sopClassHandlers: [SINGLE, ...stock.sopClassHandlers],
    routes: [
      {
        ...route,
        // Before anything hangs: a study that was opened from OHIF's own list has no case yet.
        init: ({ studyInstanceUIDs }) => window.breastlabel.reading.enter(studyInstanceUIDs),
        layoutInstance: {
          ...layout,
          props: { ...layout.props, leftPanelClosed: true, rightPanels: [PANEL, LABEL_MAPS], rightPanelClosed: false },
        },
      },
    ],
  };
}

export default { id: ID, modeFactory, extensionDependencies: {}, customizations: { segmentationModeCustomizations: {} } };
