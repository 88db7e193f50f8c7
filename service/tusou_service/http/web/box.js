// The search box: the text, the items and the image of the query, and their weights.

import { fetchText } from "./api.js";
import { showFilters } from "./facets.js";
import { element, showItem } from "./grid.js";
import { navigate } from "./history.js";
import { EMPTY_QUERY, isSearch, isWeighted } from "./query.js";
import { accepts, byId, itemsAreTexts, state } from "./state.js";
import { strings } from "./strings.js";

const input = byId("query");
let shown = null; // the query that the box shows

export function showQuery() {
  const { query, imageMissing } = state;
  document.body.dataset.view = isSearch(query) || imageMissing ? "results" : "start";
  document.title = [query.text.trim() || query.like, "图搜 Tusou"].filter(Boolean).join(" · ");
  // What is typed while the page starts, or before the next search, stays.
  if (query !== shown && (shown || query.text)) input.value = query.text;
  shown = query;
  byId("weight").value = query.weight;
  showChips(query);
  showFilters();
  showMix();
}

function showChips({ image, like, fits, less }) {
  const { uploaded, likeItem, fitsItem, lessItem } = strings();
  const chips = [
    image && ["image", uploaded, null],
    like && ["like", likeItem(like), like],
    ...fits.map((id) => ["fits", fitsItem(id), id]),
    ...less.map((id) => ["less", lessItem(id), id]),
  ].filter(Boolean);
  byId("chips").replaceChildren(...chips.map(chip));
  input.placeholder = !accepts("text") ? strings().noTexts : chips.length ? strings().queryHintMore : strings().queryHint;
}

function chip([field, label, id]) {
  const thumb = element("span", "", "thumb");
  const name = element("span", label, "name");
  if (id && itemsAreTexts()) {
    thumb.hidden = true;
    fetchText(id).then((text) => { name.textContent = strings()[`${field}Item`](text); }, () => {});
  } else if (id) {
    showItem(id, thumb, { eager: true });
  } else {
    const image = element("img");
    Object.assign(image, { src: state.query.image.preview, alt: "" });
    thumb.append(image);
  }
  const remove = element("button", "×");
  remove.type = "button";
  remove.setAttribute("aria-label", strings().remove(label));
  remove.addEventListener("click", () => {
    const value = state.query[field];
    const left = Array.isArray(value) ? value.filter((each) => each !== id) : EMPTY_QUERY[field];
    navigate({ [field]: left, text: input.value });
    input.focus();
  });
  const result = element("span", "", `chip ${field}`);
  result.append(thumb, name, remove);
  return result;
}

export function showMix() {
  byId("mix").hidden = !isWeighted({ ...state.query, text: input.value });
  byId("weight").setAttribute("aria-valuetext", strings().weightValue(byId("weight").value));
}
