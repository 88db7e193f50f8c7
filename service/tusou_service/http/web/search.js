// Sends the query, and gets more results near the end of those shown.

import { Problem, fetchImageState, fetchInfo, itemExists, search } from "./api.js";
import { attributeFields } from "./attributes.js";
import { showQuery } from "./box.js";
import { placeholders } from "./grid.js";
import { clearProblem, isRetried, showProblem } from "./problem.js";
import { MAX_RESULTS, PAGE_SIZE, couldBeId, isSearch, toFields } from "./query.js";
import { append, showEmpty, showNotices, showResults, showSummary } from "./results.js";
import { byId, state } from "./state.js";
import { strings } from "./strings.js";

const BUSY_AFTER_MS = 180; // then a running search shows placeholders
const CHECK_IMAGES_AFTER_MS = 900; // then it checks whether the image model is still loading

const grid = byId("grid");
let pending = null; // the AbortController of the running request
let running = null; // the promise of more results

export async function runSearch() {
  cancelSearch();
  pending = new AbortController();
  const { signal } = pending;
  state.results = null;
  clearProblem();
  showQuery();
  if (!isSearch(state.query)) {
    pending = null;
    redraw();
    return;
  }
  grid.setAttribute("aria-busy", "true");
  const busyTimer = setTimeout(showBusy, BUSY_AFTER_MS);
  const imagesTimer = state.query.image && setTimeout(announceImageLoading, CHECK_IMAGES_AFTER_MS, signal);
  offerItem(signal);
  try {
    const response = await search(requestFields(0), state.service.integerIds, signal);
    state.results = { ...summarize(response), items: toHits(response), ended: response.item_ids.length < PAGE_SIZE, changed: false };
    clearProblem({ solved: true });
    redraw();
  } catch (problem) {
    if (!signal.aborted) fail(problem);
  } finally {
    clearTimeout(busyTimer);
    clearTimeout(imagesTimer);
    if (pending?.signal === signal) {
      pending = null;
      grid.removeAttribute("aria-busy");
      if (state.results) observeEnd();
    }
  }
}

// While the service is away, the last results stay; they are not those of a query that it refused.
function fail(problem) {
  const stays = isRetried(problem.code) && grid.querySelector(".card:not(.blank)");
  if (!stays) showEmpty();
  grid.inert = true;
  byId("status").textContent = stays ? strings().stale : "";
  showFailure(problem, runSearch);
}

export function cancelSearch() {
  pending?.abort();
  pending = null;
  grid.removeAttribute("aria-busy");
}

export function redraw() {
  grid.inert = false;
  showResults(refreshIndex);
  observeEnd();
}

// Callers at the same time wait for the same results.
export function loadMore() {
  running ??= appendNext().finally(() => { running = null; });
  return running;
}

async function appendNext() {
  const { results } = state;
  if (pending || !results || results.ended || results.changed || results.items.length >= MAX_RESULTS) return;
  pending = new AbortController();
  const { signal } = pending;
  const before = results.items.length;
  byId("next").textContent = strings().loadingMore;
  try {
    const response = await search(requestFields(before, results.version), state.service.integerIds, signal);
    clearProblem({ solved: true });
    if (response.version_changed || response.index_version !== results.version) {
      results.changed = true;
    } else {
      results.items.push(...toHits(response));
      results.ended = response.item_ids.length < Math.min(PAGE_SIZE, MAX_RESULTS - before);
    }
    append(before);
    showSummary(refreshIndex);
  } catch (problem) {
    if (!signal.aborted) showFailure(problem, loadMore, byId("more"));
  } finally {
    byId("next").textContent = strings().more;
    if (pending?.signal === signal) pending = null;
    if (!signal.aborted && byId("problem").hidden) observeEnd();
  }
}

const requestFields = (offset, version) => ({
  ...toFields(state.query, offset, version), ...attributeFields(state.query, offset),
});

function summarize(response) {
  const { index_version: version, took_ms: tookMs, truncated, interpreted, facets, matched } = response;
  return { version, tookMs, truncated, interpreted, facets, matched, total: response.matching_items ?? state.service.item_count };
}

function toHits(response) {
  return response.item_ids.map((id, position) => ({
    id: String(id),
    score: response.scores[position],
    attributes: response.attributes?.[position] ?? {},
    others: response.others?.[position] ?? 0,
    relevance: response.relevance?.[position],
  }));
}

// A text that is an item's id may be meant as one.
async function offerItem(signal) {
  const { query, service } = state;
  const id = query.text.trim();
  if (!couldBeId(query, service.integerIds) || !(await itemExists(id)) || signal.aborted) return;
  state.knownId = id;
  showNotices(refreshIndex);
}

async function announceImageLoading(signal) {
  const images = await fetchImageState().catch(() => "");
  if (images !== "ready" && images && !signal.aborted) byId("status").textContent = strings().imagesLoading;
}

export function showFailure(error, retry, before = grid) {
  const problem = error instanceof Problem ? error : new Problem({ code: "other" });
  if (problem !== error) console.error(error); // a bug, or a response from another server
  before.before(byId("problem"));
  byId("more").hidden = true;
  showProblem(problem, retry);
}

function showBusy() {
  byId("status").textContent = strings().searching;
  byId("meta").textContent = "";
  byId("notices").replaceChildren();
  byId("end").textContent = "";
  byId("more").hidden = true;
  if (!grid.querySelector(".card:not(.blank)")) grid.replaceChildren(...placeholders(12));
}

// Reads /info into `state.service`; throws a Problem.
export async function readInfo() {
  const info = await fetchInfo();
  if (info.index_version) Object.assign(state.service, info, { integerIds: info.id_type === "int" });
}

async function refreshIndex() {
  await readInfo().catch(() => {});
  window.scrollTo({ top: 0 });
  await runSearch();
}

// Load more near the end; observing again reports an end that is already in view.
const endObserver = new IntersectionObserver(([{ isIntersecting }]) => {
  if (isIntersecting && !byId("more").hidden) loadMore();
}, { rootMargin: "500px" });

function observeEnd() {
  endObserver.disconnect();
  endObserver.observe(byId("more"));
}
