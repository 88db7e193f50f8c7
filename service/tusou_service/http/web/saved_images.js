// Uploaded images, kept in this tab so that a reload and the back button find them.

const PREFIX = "tusou.image.";
const MAX_SAVED = 8;

const loaded = new Map(); // id -> { id, base64, preview }

export function saveImage(blob, base64) {
  const image = { id: String(Date.now()), base64, preview: URL.createObjectURL(blob) };
  loaded.set(image.id, image);
  store(image);
  return image;
}

function store({ id, base64 }) {
  for (let limit = MAX_SAVED; limit > 0; limit -= 1) {
    try {
      const saved = Object.keys(sessionStorage).filter((key) => key.startsWith(PREFIX)).sort();
      for (const key of saved.slice(0, Math.max(0, saved.length - limit + 1))) sessionStorage.removeItem(key);
      sessionStorage.setItem(PREFIX + id, base64);
      return;
    } catch { /* full: keep fewer; or storage is off: the image lasts as long as the page */ }
  }
}

// Returns null for an image that this tab does not have.
export function loadImage(id) {
  if (!id || loaded.has(id)) return loaded.get(id) ?? null;
  try {
    const base64 = sessionStorage.getItem(PREFIX + id);
    if (!base64) return null;
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const image = { id, base64, preview: URL.createObjectURL(new Blob([bytes])) };
    loaded.set(id, image);
    return image;
  } catch {
    return null;
  }
}
