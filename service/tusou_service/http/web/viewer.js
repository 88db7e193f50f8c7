// One item as large as the screen allows; arrow keys and swipes go through the results.

import { priceOf, showTitle } from "./attributes.js";
import { showItem } from "./grid.js";
import { view } from "./history.js";
import { itemActions } from "./results.js";
import { byId, state } from "./state.js";
import { strings } from "./strings.js";

const SWIPE_PIXELS = 40;

const viewer = byId("viewer");
let shownId = "";

// Shows an item; without an id, closes the viewer.
export function showView(id) {
  if (!id) {
    close();
    return;
  }
  shownId = id;
  const { items, position } = place();
  const { item, score, place: placeOf } = strings();
  showItem(id, byId("large"), { eager: true });
  const hit = items[position];
  showTitle(hit, byId("viewTitle"));
  byId("about").textContent = !hit
    ? item(id)
    : [priceOf(hit), item(id), score(hit.score.toFixed(3)), placeOf(position + 1)].filter(Boolean).join(" · ");
  byId("previous").hidden = position < 1;
  byId("following").hidden = position < 0 || (position === items.length - 1 && byId("more").hidden);
  const { onLike, onLess } = itemActions();
  byId("viewLike").hidden = !onLike;
  byId("viewLess").hidden = !onLess || position < 0;
  if (!viewer.open) viewer.showModal();
}

// At once, not in the event `close`: by then, the user may have moved the focus on.
function close() {
  if (!viewer.open) return;
  viewer.close();
  focusCard();
}

// The keyboard continues from the last item shown.
function focusCard() {
  const button = byId("grid").querySelectorAll(".card .image")[place().position];
  button?.focus({ preventScroll: true });
  button?.scrollIntoView({ block: "nearest" });
}

function place() {
  const items = state.results?.items ?? [];
  return { items, position: items.findIndex(({ id }) => id === shownId) };
}

export function listenInViewer(loadMore) {
  async function move(step) {
    const { items, position } = place();
    if (position < 0) return;
    if (position + step === items.length) await loadMore();
    const next = items[position + step];
    if (next && viewer.open) view(next.id);
  }
  function leave() {
    close();
    view("");
  }
  byId("close").addEventListener("click", leave);
  byId("previous").addEventListener("click", () => move(-1));
  byId("following").addEventListener("click", () => move(1));
  byId("viewLike").addEventListener("click", () => itemActions().onLike(shownId));
  byId("viewLess").addEventListener("click", () => itemActions().onLess(shownId));
  viewer.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(step);
  });
  listenForSwipes(move);
  viewer.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave();
  });
  viewer.addEventListener("close", () => {
    if (!viewer.open) view(""); // a browser may close it without asking
  });
}

function listenForSwipes(move) {
  let start = null;
  byId("large").addEventListener("pointerdown", (event) => {
    const isZoomed = (window.visualViewport?.scale ?? 1) > 1.01;
    start = event.isPrimary && event.pointerType !== "mouse" && !isZoomed ? event : null;
  });
  byId("large").addEventListener("pointercancel", () => { start = null; });
  byId("large").addEventListener("pointerup", (event) => {
    if (!start) return;
    const [x, y] = [event.clientX - start.clientX, event.clientY - start.clientY];
    start = null;
    if (Math.abs(x) > SWIPE_PIXELS && Math.abs(x) > 2 * Math.abs(y)) move(x < 0 ? 1 : -1);
  });
}
