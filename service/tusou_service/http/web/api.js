// Requests to the service; errors are thrown as Problem.

const KEY_STORAGE = "tusou.key";
let key = "";
try {
  key = sessionStorage.getItem(KEY_STORAGE) ?? "";
} catch { /* storage is off: the key lasts as long as the page */ }

export const hasKey = () => key !== "";

export function setKey(value) {
  key = value;
  try {
    sessionStorage.setItem(KEY_STORAGE, value);
  } catch { /* as above */ }
}

export class Problem extends Error {
  constructor({ code, status = 0, request_id: id = "" }, retryAfter = null) {
    super(code);
    Object.assign(this, { code, status, id, retryAfter });
  }
}

// Integer ids may exceed JavaScript's safe integers, so they are handled as text. Inside a JSON
// string quotes are escaped: the pattern can match nothing but the field itself.
const INTEGER_IDS = /"(?:sample_)?item_ids":\s*\[([0-9,\s]+)\]/;

export function parseResponse(text) {
  const integerIds = INTEGER_IDS.test(text);
  const response = JSON.parse(text.replace(INTEGER_IDS, (all) => all.replace(/\d+/g, '"$&"')));
  return { ...response, integerIds };
}

// Fields named *item_id are ids: written without quotes when the index has integer ids.
export function writeBody(fields, integerIds) {
  const parts = Object.entries(fields).map(([name, value]) => {
    const isInteger = integerIds && name.endsWith("item_id") && /^\d+$/.test(value);
    return `${JSON.stringify(name)}:${isInteger ? value : JSON.stringify(value)}`;
  });
  return `{${parts.join(",")}}`;
}

async function request(path, options = {}) {
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: key && error.name === "TypeError" && !isSendable(key) ? "unauthorized" : "network" });
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({ code: "other" }));
  const after = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  throw new Problem({ status: response.status, ...body }, Number.isNaN(after) ? null : after);
}

// A key with other characters cannot be sent in a header.
const isSendable = (text) => /^[\x21-\x7e]*$/.test(text);

export async function fetchInfo() {
  return parseResponse(await (await request("/info")).text());
}

// Uploads take longer, and the first image waits for the image model to load.
const IMAGE_TIMEOUT_MS = "15000";

export async function search(fields, integerIds, signal) {
  const response = await request("/search", {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      ...(fields.image && { "X-Request-Timeout-Ms": IMAGE_TIMEOUT_MS }),
    },
    body: writeBody(fields, integerIds),
    signal,
  });
  return parseResponse(await response.text());
}

// Returns the state of the image model: "absent", "loading", "ready" or "unavailable".
export async function fetchImageState() {
  return (await (await request("/readyz")).json()).images;
}

export const imageUrl = (id) => `/items/${encodeURIComponent(id)}/image`;

export async function fetchImage(id) {
  return (await request(imageUrl(id))).blob();
}

export async function fetchText(id) {
  return (await (await request(`/items/${encodeURIComponent(id)}`)).json()).text;
}

export async function itemExists(id) {
  return request(`/items/${encodeURIComponent(id)}`).then(() => true, () => false);
}
