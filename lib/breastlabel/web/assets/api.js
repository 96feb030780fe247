/**
 * Talking to the server, and to the reader.
 * @module
 */

/**
 * @param {string} address
 * @param {RequestInit & {json?: unknown}} [options] ``json`` is sent as the body.
 * @returns {Promise<any>} the answer's JSON, or its text where it is none.
 * @throws {Error} whose message is the server's one-line reason.
 */
export async function ask(address, options = {}) {
  const { json, ...rest } = options;
  const request = { headers: {}, ...rest };
  if (json !== undefined) {
    request.method = request.method ?? "POST";
    request.body = JSON.stringify(json);
    request.headers = { ...request.headers, "Content-Type": "application/json" };
  }
  let answer;
  try {
    answer = await fetch(address, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server does not answer; is it running?");
  }
  if (!answer.ok) throw new Error(await reasonOf(answer));
  const kind = answer.headers.get("content-type") ?? "";
  return kind.includes("json") ? answer.json() : answer.text();
}

/** @param {Response} answer */
async function reasonOf(answer) {
  try {
    const { detail } = await answer.json();
    if (typeof detail === "string") return detail;
  } catch {
    // Not ours: a proxy's page, or nothing at all.
  }
  return `the server answered ${answer.status} ${answer.statusText}`.trim();
}

/** Let a screen reader and the corner of the page say something. @param {string} text */
export function say(text) {
  const place = document.getElementById("said");
  place.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => {
    place.textContent = "";
  }, 6000);
}

/**
 * This browser's name towards the server, by which it knows its own leases and readings. It is a cookie, too, for OHIF
 * asks the archive by itself.
 * @returns {string}
 */
export function clientId() {
  let name = localStorage.getItem("breastlabel-client");
  if (!name) {
    const digits = crypto.getRandomValues(new Uint8Array(6));
    name = "web-" + Array.from(digits, (d) => d.toString(16).padStart(2, "0")).join("");
    localStorage.setItem("breastlabel-client", name);
  }
  document.cookie = `breastlabel_client=${name}; path=/; max-age=31536000; samesite=strict`;
  return name;
}
