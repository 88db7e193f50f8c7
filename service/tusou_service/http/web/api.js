// What the page asks the service, and how an error comes back.

const KEY = "tusou.key";
let key = "";
try {
  key = sessionStorage.getItem(KEY) ?? "";
} catch { /* storage is switched off: the key lasts as long as the page */ }

export const hasKey = () => key !== "";

export function useKey(given) {
  key = given;
  try {
    sessionStorage.setItem(KEY, given);
  } catch { /* as above */ }
}

export class Problem extends Error {
  constructor({ code, status = 0, request_id: id = "" }, retryAfter = null) {
    super(code);
    Object.assign(this, { code, status, id, retryAfter });
  }
}

// Ids may be integers beyond what a number holds here, so they are kept as text all the way.
// Inside a JSON string a quote is escaped: this can match nothing but the field itself.
const INTEGERS = /"item_ids":\s*\[([0-9,\s]+)\]/;

export function parseAnswer(text) {
  const integers = INTEGERS.test(text);
  const answer = JSON.parse(text.replace(INTEGERS, (all) => all.replace(/\d+/g, '"$&"')));
  return { ...answer, integers };
}

// Fields whose names end in item_id are ids: written bare when the pool's ids are integers.
export function writeBody(fields, integers) {
  const parts = Object.entries(fields).map(([name, value]) => {
    const bare = integers && name.endsWith("item_id") && /^\d+$/.test(value);
    return `${JSON.stringify(name)}:${bare ? value : JSON.stringify(value)}`;
  });
  return `{${parts.join(",")}}`;
}

async function call(path, options = {}) {
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: key && error.name === "TypeError" && !isPlain(key) ? "unauthorized" : "network" });
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({ code: "other" }));
  const after = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  throw new Problem({ status: response.status, ...said }, Number.isNaN(after) ? null : after);
}

// A key with characters that no header carries never leaves the page.
const isPlain = (text) => /^[\x21-\x7e]*$/.test(text);

export async function info() {
  const text = await (await call("/info")).text();
  return JSON.parse(text);
}

// An image has to be uploaded, and the first one waits for the image model to load.
const IMAGE_MS = "15000";

export async function search(fields, integers, signal) {
  const response = await call("/search", {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      ...(fields.image && { "X-Request-Timeout-Ms": IMAGE_MS }),
    },
    body: writeBody(fields, integers),
    signal,
  });
  return parseAnswer(await response.text());
}

// Whether the image tower is there yet: "absent", "loading", "ready" or "unavailable".
export async function imagesState() {
  return (await (await call("/readyz")).json()).images;
}

export const imageAddress = (id) => `/items/${encodeURIComponent(id)}/image`;

export async function imageBlob(id) {
  return (await call(imageAddress(id))).blob();
}

export async function itemText(id) {
  return (await (await call(`/items/${encodeURIComponent(id)}`)).json()).text;
}
