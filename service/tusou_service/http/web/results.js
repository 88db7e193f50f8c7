// Shows the results of the query, and what there is to know about them.

import { card, element } from "./grid.js";
import { navigate, view } from "./history.js";
import { EMPTY_QUERY, MAX_RESULTS, isSearch, scoredAs } from "./query.js";
import { accepts, byId, state } from "./state.js";
import { strings } from "./strings.js";

const grid = byId("grid");

export const itemActions = () => ({
  onLike: accepts("item") ? (id) => navigate({ ...EMPTY_QUERY, like: id }, { top: true }) : null,
  onLess: accepts("item") ? (id) => navigate({ less: id }, { top: true }) : null,
  onOpen: view,
});

export function showResults(refreshIndex) {
  grid.replaceChildren();
  append(0);
  showSummary(refreshIndex);
  // If the focused button was removed, continue with the results.
  if (document.activeElement === document.body) byId("results").focus({ preventScroll: true });
}

export function showEmpty() {
  grid.replaceChildren();
  byId("meta").textContent = "";
  byId("end").textContent = "";
}

export function append(from) {
  const items = state.results?.items ?? [];
  const actions = itemActions();
  const randomFrom = firstRandom(items);
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
  const { shown, took, version, none, pool, allShown, farEnough } = strings();
  const count = results?.items.length ?? 0;
  byId("status").textContent = !results ? "" : count ? shown(count, service.item_count) : none;
  byId("meta").textContent = results
    ? `${took(results.tookMs.toFixed(1))} · ${version(results.version.slice(0, 8))}`
    : service.index_version && document.body.dataset.view === "start"
      ? `${pool(service.item_count)} · ${version(service.index_version.slice(0, 8))}`
      : "";
  byId("meta").title = results?.version ?? "";
  const reachable = service.item_count - [query.like && !query.image, query.less].filter(Boolean).length;
  const isEnd = results?.ended || count >= MAX_RESULTS;
  byId("more").hidden = !results || isEnd || results.changed;
  // An approximate index may return fewer items than it holds.
  byId("end").textContent = !isEnd || !count ? "" : count < reachable ? farEnough(count) : allShown(count);
  showNotices(refreshIndex);
}

export function showNotices(refreshIndex) {
  const { query, results, imageMissing, knownId } = state;
  const { understood, literal, isLiteral, interpret, truncated, lostImage, lostRest, unshared } = strings();
  const lines = [];
  if (knownId) lines.push(itemOffer(knownId));
  if (imageMissing && !query.image) lines.push(notice(isSearch(query) ? `${lostImage}${lostRest}` : lostImage));
  if (query.image) lines.push(notice(unshared));
  if (results?.interpreted) {
    const { positive, negative } = results.interpreted;
    lines.push(notice(understood(positive, negative), [literal, () => navigate({ literal: true })]));
  }
  if (query.literal && query.text) lines.push(notice(isLiteral, [interpret, () => navigate({ literal: false })]));
  if (results?.truncated) lines.push(notice(truncated));
  byId("notices").replaceChildren(...lines);
  byId("changed")?.remove();
  if (results?.changed) {
    const line = notice(strings().changed, [strings().renew, refreshIndex]);
    line.id = "changed";
    line.setAttribute("role", "alert");
    byId("more").before(line);
  }
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
