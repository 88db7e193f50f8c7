// What to try on the start page: sentences where the model is the demo's, and items of the pool.

import { fetchText } from "./api.js";
import { element, showItem } from "./grid.js";
import { navigate } from "./history.js";
import { EMPTY_QUERY, toUrl } from "./query.js";
import { accepts, byId, itemsAreTexts, state } from "./state.js";
import { strings } from "./strings.js";

const MAX_TEXTS = 5;

export async function showSamples() {
  const { service } = state;
  const ids = accepts("item") ? service.sample_item_ids : [];
  let texts = service.model === "demo" ? strings().samples : [];
  if (itemsAreTexts()) {
    const fetched = await Promise.all(ids.slice(0, MAX_TEXTS).map((id) => fetchText(id).catch(() => "")));
    texts = fetched.filter(Boolean);
  }
  byId("samples").replaceChildren(...texts.map((text) => {
    const item = link({ ...EMPTY_QUERY, text }, text);
    item.firstChild.lang = "zh-CN";
    return item;
  }));
  byId("sampleItems").replaceChildren(...(itemsAreTexts() ? [] : ids).map((id) => {
    const item = link({ ...EMPTY_QUERY, like: String(id) });
    item.firstChild.setAttribute("aria-label", strings().likeLabel(id));
    showItem(String(id), item.firstChild);
    return item;
  }));
  byId("itemsHint").hidden = !byId("sampleItems").childElementCount;
  byId("hint").textContent = hint(Boolean(texts.length));
}

function hint(hasTexts) {
  const { startImage, tryTexts } = strings();
  return [accepts("image") && startImage, hasTexts && tryTexts].filter(Boolean).join("");
}

function link(query, text) {
  const item = element("li");
  const anchor = element("a", text);
  anchor.href = toUrl(query);
  anchor.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    navigate(query);
  });
  item.append(anchor);
  return item;
}
