// The results as cards, and the large view of one.

import { hasKey, itemText, imageAddress, imageBlob } from "./api.js";
import { words } from "./words.js";

const EAGER = 8; // images that are surely in view

// An image element sends no key: with one, images are fetched as they come into view.
const waiting = new WeakMap();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    waiting.get(target)?.();
  }
}, { rootMargin: "400px" });

export const areTexts = () => document.body.dataset.items === "texts";

// What an item is to the eye: its image, or what it says.
export function show(id, place, options) {
  if (areTexts()) sayItem(id, place, options);
  else showImage(id, place, options);
}

function sayItem(id, place, { eager = false } = {}) {
  const said = document.createElement("span");
  said.className = "said";
  place.replaceChildren(said);
  const work = async () => {
    said.textContent = await itemText(id);
    place.removeAttribute("aria-label"); // its words are its name now
  };
  if (eager) work().catch(() => gone(place));
  else whenSeen(place, work);
}

function showImage(id, place, { eager = false } = {}) {
  const image = document.createElement("img");
  image.alt = "";
  image.decoding = "async";
  image.onerror = () => gone(place);
  if (!hasKey()) {
    image.loading = eager ? "eager" : "lazy";
    image.src = imageAddress(id);
  } else {
    whenSeen(place, async () => {
      const address = URL.createObjectURL(await imageBlob(id));
      image.onload = () => URL.revokeObjectURL(address);
      image.src = address;
    });
  }
  place.replaceChildren(image);
}

function whenSeen(place, work) {
  waiting.set(place, () => work().catch(() => gone(place)));
  watcher.observe(place);
}

function gone(place) {
  const said = document.createElement("span");
  said.className = "gone";
  said.textContent = words().noImage;
  place.replaceChildren(said);
}

export function card({ id, score }, place, { onLike, onLess, onOpen }) {
  const item = document.getElementById("card").content.firstElementChild.cloneNode(true);
  const part = (name) => item.querySelector(`.${name}`);
  const said = score.toFixed(3);
  show(id, part("image"), { eager: place < EAGER });
  part("image").setAttribute("aria-label", `${words().enlarge(id)}, ${words().score(said)}`);
  part("image").addEventListener("click", () => onOpen({ id, score }));
  part("id").textContent = id;
  part("id").title = id;
  part("score").textContent = said;
  part("score").title = words().score(said);
  for (const [name, act] of [["like", onLike], ["less", onLess]]) {
    const button = part(name);
    if (!act) {
      button.remove();
      continue;
    }
    button.textContent = words()[name];
    button.setAttribute("aria-label", words()[`${name}Label`](id));
    button.addEventListener("click", () => act(id));
  }
  return item;
}

export function placeholders(count) {
  return Array.from({ length: count }, () => {
    const item = document.createElement("li");
    item.className = "card blank";
    item.setAttribute("aria-hidden", "true");
    return item;
  });
}

export function openViewer({ id, score }) {
  const viewer = document.getElementById("viewer");
  show(id, document.getElementById("large"), { eager: true });
  document.getElementById("about").textContent = `${words().item(id)} · ${words().score(score.toFixed(3))}`;
  viewer.showModal();
}
