// Items as cards.

import { fetchImage, fetchText, hasKey, imageUrl } from "./api.js";
import { priceOf, showTitle, titleOf } from "./attributes.js";
import { itemsAreTexts } from "./state.js";
import { strings } from "./strings.js";

const EAGER_IMAGES = 8; // these are in view at once

// An img element cannot send an API key: with a key, images are fetched when they come into view.
const loaders = new WeakMap();
const visibility = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    visibility.unobserve(target);
    loaders.get(target)?.();
  }
}, { rootMargin: "400px" });

export function element(name, text = "", className = "") {
  const created = document.createElement(name);
  created.textContent = text;
  if (className) created.className = className;
  return created;
}

// Shows an item in `container`: its text or its image.
export function showItem(id, container, options) {
  if (itemsAreTexts()) showText(id, container, options);
  else showImage(id, container, options);
}

function showText(id, container, { eager = false } = {}) {
  const text = element("span", "", "item-text");
  container.replaceChildren(text);
  const load = async () => {
    text.textContent = await fetchText(id);
    container.removeAttribute("aria-label"); // its text is its name now
  };
  if (eager) load().catch(() => showMissing(container));
  else whenVisible(container, load);
}

function showImage(id, container, { eager = false } = {}) {
  const image = element("img");
  image.alt = "";
  image.decoding = "async";
  image.onerror = () => showMissing(container);
  if (!hasKey()) {
    image.loading = eager ? "eager" : "lazy";
    image.src = imageUrl(id);
  } else {
    whenVisible(container, async () => {
      const url = URL.createObjectURL(await fetchImage(id));
      image.onload = () => URL.revokeObjectURL(url);
      image.src = url;
    });
  }
  container.replaceChildren(image);
}

function whenVisible(container, load) {
  loaders.set(container, () => load().catch(() => showMissing(container)));
  visibility.observe(container);
}

function showMissing(container) {
  container.replaceChildren(element("span", strings().noImage, "missing"));
}

export function card(hit, position, { onLike, onFits, onLess, onOpen, onProduct }) {
  const { id, score, others } = hit;
  const item = document.getElementById("card").content.firstElementChild.cloneNode(true);
  const part = (name) => item.querySelector(`.${name}`);
  const scoreText = score.toFixed(3);
  showItem(id, part("image"), { eager: position < EAGER_IMAGES });
  part("image").setAttribute("aria-label", `${strings().enlarge(titleOf(hit) || id)}, ${strings().score(scoreText)}`);
  part("image").addEventListener("click", () => onOpen(id));
  part("id").textContent = itemsAreTexts() ? "" : id; // a text needs no other name
  item.dataset.id = id;
  showTitle(hit, part("title"));
  part("price").textContent = priceOf(hit);
  if (others) part("offer").append(othersOf(hit, onProduct));
  part("offer").hidden = !others && !priceOf(hit);
  part("id").title = id;
  part("score").textContent = scoreText;
  part("score").title = [strings().score(scoreText), hit.relevance !== undefined && strings().relevance((100 * hit.relevance).toFixed(0))]
    .filter(Boolean).join(strings().comma);
  for (const [name, action] of [["like", onLike], ["fits", onFits], ["less", onLess]]) {
    const button = part(name);
    if (!action) {
      button.remove();
      continue;
    }
    button.textContent = strings()[name];
    button.setAttribute("aria-label", strings()[`${name}Label`](id));
    button.addEventListener("click", () => action(id));
  }
  return item;
}

// How many more items the product has, as a button that shows them where that is possible.
function othersOf(hit, onProduct) {
  const action = onProduct(hit);
  const shown = element(action ? "button" : "span", strings().others(hit.others), "others");
  if (action) {
    shown.type = "button";
    shown.addEventListener("click", action);
  }
  return shown;
}

export function placeholders(count) {
  return Array.from({ length: count }, () => {
    const item = element("li", "", "card blank");
    item.setAttribute("aria-hidden", "true");
    return item;
  });
}
