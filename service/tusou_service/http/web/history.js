// The browser's history: one entry for each query, and one while the viewer is open.

import { EMPTY_QUERY, parseUrl, toUrl } from "./query.js";
import { loadImage } from "./saved_images.js";
import { state } from "./state.js";

const MAX_ENTRIES = 30;

const cache = new Map(); // entry -> what it showed, so that going back needs no request
let entry = 0; // the current entry
let handlers = null; // { search(), restore(scroll), view(id) }
let leaving = false; // the viewer's entry is being left
let waiting = null; // what to do after that

// Reads the query of the page's address.
export function startHistory(callbacks) {
  handlers = callbacks;
  history.scrollRestoration = "manual";
  window.addEventListener("popstate", ({ state: next }) => restoreEntry(next));
  entry = history.state?.entry ?? Date.now();
  readEntry(history.state);
}

function readEntry(saved) {
  Object.assign(state, parseUrl(location.search), { results: null, knownId: "" });
  state.query.image = loadImage(saved?.image);
  state.imageMissing &&= !state.query.image;
  history.replaceState({ ...saved, entry }, "");
}

function cacheEntry() {
  const { query, results, imageMissing, knownId } = state;
  cache.set(entry, { shown: { query, results, imageMissing, knownId }, scroll: window.scrollY });
  for (const oldest of [...cache.keys()].slice(0, -MAX_ENTRIES)) cache.delete(oldest);
}

export function navigate(changes, { replace = false, top = false } = {}) {
  if (leaving) {
    waiting = () => navigate(changes, { replace, top });
    return;
  }
  cacheEntry();
  const query = { ...state.query, ...changes };
  if (!query.text.trim()) query.literal = false;
  Object.assign(state, { query, imageMissing: false, results: null, knownId: "" });
  const viewing = history.state?.view !== undefined;
  if (!replace) entry = Date.now();
  const next = { entry, ...(query.image && { image: query.image.id }) };
  if (replace || viewing) history.replaceState(next, "", toUrl(query));
  else history.pushState(next, "", toUrl(query));
  if (viewing) handlers.view("");
  if (top) window.scrollTo({ top: 0 });
  handlers.search();
}

export const startAgain = () => navigate(EMPTY_QUERY, { top: true });

function restoreEntry(next) {
  leaving = false;
  if (next?.entry !== entry) {
    cacheEntry();
    entry = next?.entry ?? Date.now();
    const cached = cache.get(next?.entry);
    if (cached) Object.assign(state, cached.shown);
    else readEntry(next);
    handlers.restore(cached?.scroll);
  }
  handlers.view(next?.view ?? "");
  waiting?.();
  waiting = null;
}

// Shows an item in the viewer: going back closes it. Without an id, goes back.
export function view(id) {
  const viewing = history.state?.view !== undefined;
  if (!id) {
    if (!viewing || leaving) return;
    leaving = true;
    history.back();
    return;
  }
  const next = { ...history.state, view: id };
  if (viewing) history.replaceState(next, "");
  else history.pushState(next, "");
  handlers.view(id);
}
