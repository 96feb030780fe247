/**
 * Keeps a part of a page up to date: the server renders it anew, and only what differs is changed, so that
 * focus, selection and what is being typed stay as they are.
 * @module
 */

/**
 * Make ``old`` like ``fresh``. Elements with a ``data-key`` are matched by it among their siblings.
 * @param {Element} old
 * @param {Element} fresh
 */
export function morph(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !isOwn(old, name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !isOwn(old, name)) old.setAttribute(name, value);
  }
  // What the page's own script said of an attempt stays until the next one.
  if (old.getAttribute("role") === "alert") return;
  // What somebody chooses or types belongs to them until they are done.
  if (old === document.activeElement && old.matches("select, input, textarea")) return;
  const keyed = new Map();
  for (const child of old.children) if (child.dataset.key) keyed.set(child.dataset.key, child);
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    let found = place;
    const key = wanted.nodeType === Node.ELEMENT_NODE ? wanted.dataset.key : undefined;
    if (key !== undefined) found = keyed.get(key) ?? null;
    else if (place?.dataset?.key !== undefined) found = null;
    if (!found || found.nodeName !== wanted.nodeName || found.nodeType !== wanted.nodeType) {
      old.insertBefore(wanted, place);
      continue;
    }
    if (found !== place) old.insertBefore(found, place);
    else place = place.nextSibling;
    if (found.nodeType === Node.ELEMENT_NODE) morph(found, wanted);
    else if (found.nodeValue !== wanted.nodeValue) found.nodeValue = wanted.nodeValue;
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

/** What the page's own scripts set. @param {Element} element @param {string} name */
function isOwn(element, name) {
  return name === "tabindex" || (name === "open" && element.localName === "details");
}

/**
 * Put a fresh rendering into ``element``.
 * @param {Element} element
 * @param {string} address of the fragment.
 * @param {AbortSignal} [signal]
 */
export async function refresh(element, address, signal) {
  const answer = await fetch(address, { signal });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const fresh = element.cloneNode(false);
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  fresh.append(...parsed.body.childNodes);
  const focused = document.activeElement;
  morph(element, fresh);
  // An element that changed its place among its siblings lost the focus on the way.
  if (focused !== document.activeElement && element.contains(focused)) focused.focus({ preventScroll: true });
}

/**
 * Refresh again and again while the page is looked at.
 * @param {Element} element
 * @param {() => string} address
 * @param {number} seconds
 * @param {() => void} [then] after each time.
 * @returns {() => Promise<void>} refreshes at once.
 */
export function keepFresh(element, address, seconds, then = () => {}) {
  let running = null;
  const once = async () => {
    running?.abort();
    const mine = (running = new AbortController());
    try {
      await refresh(element, address(), mine.signal);
      element.removeAttribute("data-stale");
      then();
    } catch (error) {
      if (error.name !== "AbortError") element.setAttribute("data-stale", "");
    }
  };
  setInterval(() => document.hidden || once(), seconds * 1000);
  document.addEventListener("visibilitychange", () => document.hidden || once());
  return once;
}
