/**
 * breastlabel's extension of OHIF 3.13, loaded at run time from our server: the panel with what the AI found, and the
 * order in which a mammography exam is hung.
 * @module
 */
import { clientId } from "/assets/api.js";
import { Case } from "./case.js";
import { Drawings } from "./drawings.js";
import { HANGING_PROTOCOLS, addAttributes } from "./hanging.js";
import { HeatMaps } from "./heatmaps.js";
import { sayOrientations } from "./orientation.js";
import { Panel } from "./panel.js";
import { Views } from "./views.js";

/** Under this id OHIF finds the modules of the extension, as in ``breastlabel.panelModule.ai``. */
const ID = "breastlabel";

/** @type {Case} */
let reading;
/** @type {Panel | undefined} */
let panel;

/**
 * Ask for the case before the viewer's first page: its priors are opened with it, and its images tell which is which.
 * @param {{servicesManager: any, commandsManager: any, extensionManager: any}} managers
 */
async function preRegistration({ servicesManager, commandsManager, extensionManager }) {
  const { services } = servicesManager;
  reading = new Case(clientId());
  const views = new Views(services, reading);
  const drawings = new Drawings({ services, commandsManager, extensionManager, views, reading });
  const heatMaps = new HeatMaps(views);
  panel = new Panel({ reading, views, drawings, heatMaps, services, commandsManager });
  addAttributes(services.hangingProtocolService, reading);
  // For tests in a browser, and for whoever looks into a page that misbehaves.
  window.breastlabel = { reading, views, drawings, heatMaps, panel, services, commandsManager };
  sayOrientations(services.displaySetService);
  addStyles();
  await openAddress();
}

/** The case of the study in the page's address. Outside a study (the study list) there is none. */
async function openAddress() {
  const address = new URL(window.location.href);
  const parameter = [...address.searchParams.keys()].find((key) => key.toLowerCase() === "studyinstanceuids");
  const studies = (parameter && address.searchParams.get(parameter)?.split(",")) || [];
  if (!studies[0]) return;
  await reading.open(studies[0], address.searchParams.get("image"));
  const wanted = reading.studies();
  if (wanted.length > studies.length && wanted[0] === studies[0]) {
    address.searchParams.set(parameter ?? "StudyInstanceUIDs", wanted.join(","));
    window.history.replaceState(window.history.state, "", address);
  }
}

function addStyles() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = "/ohif/breastlabel/panel.css";
  document.head.append(link);
}

/**
 * A panel is a React component. React is not ours to import, but a component may return a plain element, and React
 * hands its node to the function in ``ref``.
 */
function PanelComponent() {
  return {
    $$typeof: Symbol.for("react.element"),
    type: "div",
    key: null,
    ref: mount,
    props: { className: "breastlabel-panel-place" },
    _owner: null,
    _store: {},
  };
}

/** @param {HTMLElement | null} place */
function mount(place) {
  if (place && panel) panel.mount(place);
}

/**
 * One image is one thing to look at. OHIF stacks the images of an ultrasound series, and would hang the many views
 * of an exam on top of each other, and draw on one label map for all of them.
 * @param {{extensionManager: any}} managers
 */
function getSopClassHandlerModule({ extensionManager }) {
  const stack = () =>
    extensionManager.getModuleEntry("@ohif/extension-default.sopClassHandlerModule.stack");
  const classes = [
    "1.2.840.10008.5.1.4.1.1.1.2", // digital mammography, for presentation
    "1.2.840.10008.5.1.4.1.1.1.2.1", // and for processing
    "1.2.840.10008.5.1.4.1.1.6.1", // ultrasound
    "1.2.840.10008.5.1.4.1.1.3.1", // ultrasound, several frames
    "1.2.840.10008.5.1.4.1.1.7", // secondary capture
  ];
  return [
    {
      name: "single",
      sopClassUids: classes,
      getDisplaySetsFromSeries: (instances) =>
        instances.flatMap((instance) => stack().getDisplaySetsFromSeries([instance])),
    },
  ];
}

export default {
  id: ID,
  preRegistration,
  onModeEnter: () => panel?.start(),
  onModeExit: () => panel?.stop(),
  getPanelModule: () => [
    {
      name: "ai",
      iconName: "tab-studies",
      iconLabel: "AI",
      label: "breastlabel",
      component: PanelComponent,
    },
  ],
  getHangingProtocolModule: () => HANGING_PROTOCOLS.map((protocol) => ({ name: protocol.id, protocol })),
  getSopClassHandlerModule,
};
