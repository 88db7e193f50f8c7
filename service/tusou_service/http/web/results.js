// Shows the results of the query, and what there is to know about them.

import { attributeOf, productOf } from "./attributes.js";
import { clearButton, showFacets } from "./facets.js";
import { card, element } from "./grid.js";
import { navigate, view } from "./history.js";
import { EMPTY_QUERY, MAX_RESULTS, isSearch, judged, scoredAs } from "./query.js";
import { accepts, byId, state } from "./state.js";
import { strings } from "./strings.js";

const grid = byId("grid");

export const itemActions = () => ({
  onLike: accepts("item") ? (id) => navigate({ ...EMPTY_QUERY, filter: state.query.filter, like: id }, { top: true }) : null,
  onFits: accepts("item") && isSearch(state.query) ? judge("fits") : null,
  onLess: accepts("item") ? judge("less") : null,
  onOpen: view,
  onProduct,
});

const judge = (field) => (id) => navigate(judged(state.query, field, String(id)), { top: true });

// Returns what shows all items of a hit's product; null if the page does not know its id.
function onProduct(hit) {
  const product = productOf(hit);
  const condition = { [attributeOf("product")]: product };
  return product === undefined ? null : () => navigate({ filter: [...state.query.filter, condition] }, { top: true });
}

export function showResults(refreshIndex) {
  grid.replaceChildren();
  append(0);
  showSummary(refreshIndex);
  showFacets();
  // If the focused button was removed, continue with the results.
  if (document.activeElement === document.body) byId("results").focus({ preventScroll: true });
}

export function showEmpty() {
  grid.replaceChildren();
  grid.classList.remove("pale");
  byId("meta").textContent = "";
  byId("end").textContent = "";
}

export function append(from) {
  const items = state.results?.items ?? [];
  const actions = itemActions();
  const fitsNothing = state.results?.matched === false;
  const randomFrom = fitsNothing ? -1 : firstRandom(items);
  grid.classList.toggle("pale", fitsNothing);
  for (const [position, hit] of items.entries()) {
    if (position < from) continue;
    if (position === randomFrom) grid.append(element("li", position ? strings().random : strings().allRandom, "random"));
    grid.append(card(hit, position, actions));
  }
}

// The position of the first result whose score random pairs reach too, -1 if there is none.
function firstRandom(items) {
  const { results, query, service } = state;
  const kind = results?.version === service.index_version && !results.interpreted && scoredAs(query);
  const level = service.random_scores?.[kind] ?? -Infinity;
  return items.findIndex(({ score }) => score < level);
}

export function showSummary(refreshIndex) {
  const { results, service, query } = state;
  const { shown, matching, took, version, none, pool, allShown, farEnough } = strings();
  const count = results?.items.length ?? 0;
  byId("status").textContent = !results ? "" : !count ? none : (query.filter.length ? matching : shown)(count, results.total);
  byId("meta").textContent = results
    ? `${took(results.tookMs.toFixed(1))} · ${version(results.version.slice(0, 8))}`
    : service.index_version && document.body.dataset.view === "start"
      ? `${pool(service.item_count)} · ${version(service.index_version.slice(0, 8))}`
      : "";
  byId("meta").title = results?.version ?? "";
  const excluded = Number(Boolean(query.like && !query.image)) + query.fits.length + query.less.length;
  const reached = (results?.items ?? []).reduce((sum, { others }) => sum + 1 + others, 0);
  const isEnd = results?.ended || count >= MAX_RESULTS;
  byId("more").hidden = !results || isEnd || results.changed;
  // An approximate index may return fewer items than it holds.
  byId("end").textContent = !isEnd || !count ? "" : reached < results.total - excluded ? farEnough(count) : allShown(count);
  showNotices(refreshIndex);
}

export function showNotices(refreshIndex) {
  const { query, results, imageMissing, knownId } = state;
  const { understood, literal, isLiteral, interpret, truncated, lostImage, lostRest, unshared } = strings();
  const lines = [];
  if (results?.matched === false && results.items.length) lines.push(noneFits());
  if (knownId) lines.push(itemOffer(knownId));
  if (imageMissing && !query.image) lines.push(notice(isSearch(query) ? `${lostImage}${lostRest}` : lostImage));
  if (query.image) lines.push(notice(unshared));
  if (results?.interpreted) {
    const { positive, negative } = results.interpreted;
    lines.push(notice(understood(positive, negative), [literal, () => navigate({ literal: true })]));
  }
  if (query.literal && query.text) lines.push(notice(isLiteral, [interpret, () => navigate({ literal: false })]));
  if (results?.truncated) lines.push(notice(truncated));
  if (results && !results.items.length && query.filter.length) lines.push(notice(strings().noneMatch, clearButton()));
  byId("notices").replaceChildren(...lines);
  byId("changed")?.remove();
  if (results?.changed) {
    const line = notice(strings().changed, [strings().renew, refreshIndex]);
    line.id = "changed";
    line.setAttribute("role", "alert");
    byId("more").before(line);
  }
}

// What a calibrated index says of a query that nothing fits: the items shown only come nearest.
function noneFits() {
  const line = notice(strings().noneFitsMore);
  line.prepend(element("strong", strings().noneFits));
  line.classList.add("unfit");
  line.setAttribute("role", "status");
  return line;
}

function itemOffer(id) {
  const { isItem, viewItem, searchLike } = strings();
  const { onLike, onOpen } = itemActions();
  const actions = [[viewItem, () => onOpen(id)], onLike && [searchLike, () => onLike(id)]];
  return notice(isItem(id), ...actions.filter(Boolean));
}

function notice(text, ...actions) {
  const line = element("p", "", "notice");
  line.append(element("span", text));
  for (const [label, onAction] of actions) {
    const button = element("button", label, "link");
    button.type = "button";
    button.addEventListener("click", onAction);
    line.append(button);
  }
  return line;
}

export function showNotice(text) {
  const line = notice(text);
  line.setAttribute("role", "alert");
  byId("notices").replaceChildren(line);
}
