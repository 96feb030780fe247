/**
 * Plain DOM, in few words.
 * @module
 */

/**
 * @param {string} tag
 * @param {Record<string, any>} [properties] set on the element; ``dataset`` and ``aria-...`` too
 * @param {(Node | string | null | undefined | false)[]} children text is never read as HTML
 * @returns {HTMLElement}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "dataset") Object.assign(made.dataset, value);
    else if (name.startsWith("aria-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** @param {string} text @param {string} name for tests and keys @param {() => unknown} act @param {object} [more] */
export const button = (text, name, act, more = {}) =>
  element("button", { type: "button", textContent: text, onclick: act, dataset: { cy: `breastlabel-${name}` }, ...more });

/** @param {string} label @param {string} name @param {string[]} values @param {string} chosen @param {(v: string) => void} act */
export function choice(label, name, values, chosen, act) {
  const options = ["", ...values].map((value) =>
    element("option", { value, textContent: value || "not said", selected: value === chosen }),
  );
  const select = element("select", { dataset: { cy: `breastlabel-${name}` } }, ...options);
  select.onchange = () => act(select.value);
  return element("label", { className: "bl-field" }, label, select);
}

/** @param {string} label @param {string} name @param {boolean} checked @param {(on: boolean) => void} act */
export function toggle(label, name, checked, act) {
  const box = element("input", { type: "checkbox", checked, dataset: { cy: `breastlabel-${name}` } });
  box.onchange = () => act(box.checked);
  return element("label", { className: "bl-toggle" }, box, label);
}

/** @param {number | null | undefined} value @returns {string} */
export const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(100 * value)} %`);
