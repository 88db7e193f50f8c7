// The search page: one query at a time, its results, and their URL.

import { Problem, fetchImageState, fetchInfo, fetchText, search } from "./api.js";
import { card, element, itemsAreTexts, openViewer, placeholders, showItem } from "./grid.js";
import { firstImage, readImage } from "./image.js";
import { clearProblem, showProblem } from "./problem.js";
import { EMPTY_QUERY, MAX_RESULTS, PAGE_SIZE, isSearch, isWeighted, parseUrl, toFields, toUrl } from "./query.js";
import { setItemKind, strings, switchLanguage, translatePage } from "./strings.js";

const byId = (id) => document.getElementById(id);
const input = byId("query");
const grid = byId("grid");

const BUSY_AFTER_MS = 180; // then a running search shows placeholders
const CHECK_IMAGES_AFTER_MS = 900; // then it checks whether the image model is still loading
const MAX_HISTORY_ENTRIES = 30;

let service = { item_count: 0, integerIds: true, accepts: ["text"], items: "images" };
let query = { ...EMPTY_QUERY };
let imageMissing = false; // the URL stands for an image that this page does not have
let results = null; // of `query`: { items, version, tookMs, ... }
let pending = null; // the AbortController of the running request
const historyCache = new Map(); // history entry -> its state, so that going back needs no request
let entry = 0; // the current history entry

// ---- searching

const accepts = (kind) => service.accepts.includes(kind);

async function runSearch() {
  pending?.abort();
  pending = new AbortController();
  const { signal } = pending;
  results = null;
  clearProblem();
  showQuery();
  if (!isSearch(query)) {
    showResults();
    return;
  }
  const busyTimer = setTimeout(showBusy, BUSY_AFTER_MS);
  const imagesTimer = query.image && setTimeout(announceImageLoading, CHECK_IMAGES_AFTER_MS, signal);
  try {
    const response = await search(toFields(query, 0), service.integerIds, signal);
    results = { ...summarize(response), items: toHits(response), ended: response.item_ids.length < PAGE_SIZE, changed: false };
    clearProblem({ solved: true });
    showResults();
  } catch (problem) {
    if (signal.aborted) return;
    grid.replaceChildren();
    showFailure(problem, runSearch);
  } finally {
    clearTimeout(busyTimer);
    clearTimeout(imagesTimer);
    if (pending?.signal === signal) {
      pending = null;
      grid.removeAttribute("aria-busy");
      if (results) observeEnd();
    }
  }
}

async function loadMore() {
  if (pending || !results || results.ended || results.changed || results.items.length >= MAX_RESULTS) return;
  pending = new AbortController();
  const { signal } = pending;
  const before = results.items.length;
  byId("next").textContent = strings().loadingMore;
  try {
    const response = await search(toFields(query, before, results.version), service.integerIds, signal);
    clearProblem({ solved: true });
    if (response.version_changed || response.index_version !== results.version) {
      results.changed = true;
    } else {
      results.items.push(...toHits(response));
      results.ended = response.item_ids.length < Math.min(PAGE_SIZE, MAX_RESULTS - before);
    }
    append(before);
    showSummary();
  } catch (problem) {
    if (!signal.aborted) showFailure(problem, loadMore, byId("more"));
  } finally {
    byId("next").textContent = strings().more;
    if (pending?.signal === signal) pending = null;
    if (!signal.aborted && byId("problem").hidden) observeEnd();
  }
}

function summarize(response) {
  const { index_version: version, took_ms: tookMs, truncated, interpreted } = response;
  return { version, tookMs, truncated, interpreted };
}

function toHits(response) {
  return response.item_ids.map((id, position) => ({ id: String(id), score: response.scores[position] }));
}

async function announceImageLoading(signal) {
  const state = await fetchImageState().catch(() => "");
  if (state !== "ready" && state && !signal.aborted) byId("status").textContent = strings().imagesLoading;
}

function showFailure(error, retry, before = grid) {
  const problem = error instanceof Problem ? error : new Problem({ code: "other" });
  if (problem !== error) console.error(error); // a bug, or a response from another server
  if (!results) byId("status").textContent = "";
  before.before(byId("problem"));
  byId("more").hidden = true;
  showProblem(problem, retry);
}

// ---- showing

function showQuery() {
  document.body.dataset.view = isSearch(query) || imageMissing ? "results" : "start";
  document.title = [query.text.trim() || query.like, "图搜 Tusou"].filter(Boolean).join(" · ");
  if (input.value !== query.text) input.value = query.text;
  byId("weight").value = query.weight;
  showChips();
  showMix();
}

function showChips() {
  const { uploaded, likeItem, lessItem } = strings();
  const chips = [
    query.image && ["image", uploaded, null],
    query.like && ["like", likeItem(query.like), query.like],
    query.less && ["less", lessItem(query.less), query.less],
  ].filter(Boolean);
  byId("chips").replaceChildren(...chips.map(chip));
  input.placeholder = chips.length ? strings().queryHintMore : strings().queryHint;
}

function chip([field, label, id]) {
  const thumb = element("span", "", "thumb");
  const name = element("span", label, "name");
  if (id && itemsAreTexts()) {
    thumb.hidden = true;
    const { likeItem, lessItem } = strings();
    fetchText(id).then((text) => { name.textContent = (field === "like" ? likeItem : lessItem)(text); }, () => {});
  } else if (id) {
    showItem(id, thumb, { eager: true });
  } else {
    const image = element("img");
    Object.assign(image, { src: query.image.preview, alt: "" });
    thumb.append(image);
  }
  const remove = element("button", "×");
  remove.type = "button";
  remove.setAttribute("aria-label", strings().remove(label));
  remove.addEventListener("click", () => {
    navigate({ [field]: EMPTY_QUERY[field], text: input.value });
    input.focus();
  });
  const result = element("span", "", `chip ${field}`);
  result.append(thumb, name, remove);
  return result;
}

function showMix() {
  byId("mix").hidden = !isWeighted({ ...query, text: input.value });
  byId("weight").setAttribute("aria-valuetext", strings().weightValue(byId("weight").value));
}

function showBusy() {
  byId("status").textContent = strings().searching;
  byId("meta").textContent = "";
  byId("notices").replaceChildren();
  byId("end").textContent = "";
  byId("more").hidden = true;
  grid.setAttribute("aria-busy", "true");
  grid.replaceChildren(...placeholders(12));
}

function showResults() {
  grid.replaceChildren();
  append(0);
  showSummary();
  observeEnd();
  // If the focused button was removed, continue with the results.
  if (document.activeElement === document.body) byId("results").focus({ preventScroll: true });
}

function append(from) {
  const actions = {
    onLike: accepts("item") ? (id) => navigate({ ...EMPTY_QUERY, like: id }, { top: true }) : null,
    onLess: accepts("item") ? (id) => navigate({ less: id }, { top: true }) : null,
    onOpen: openViewer,
  };
  const items = results?.items.slice(from) ?? [];
  grid.append(...items.map((hit, position) => card(hit, from + position, actions)));
}

function showSummary() {
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
  showNotices();
}

function showNotices() {
  const { understood, literal, isLiteral, interpret, truncated, lostImage, lostRest, unshared } = strings();
  const lines = [];
  if (imageMissing && !query.image) lines.push([isSearch(query) ? `${lostImage}${lostRest}` : lostImage]);
  if (query.image) lines.push([unshared]);
  if (results?.interpreted) {
    const { positive, negative } = results.interpreted;
    lines.push([understood(positive, negative), literal, () => navigate({ literal: true })]);
  }
  if (query.literal && query.text) lines.push([isLiteral, interpret, () => navigate({ literal: false })]);
  if (results?.truncated) lines.push([truncated]);
  byId("notices").replaceChildren(...lines.map((line) => notice(...line)));
  byId("changed")?.remove();
  if (results?.changed) {
    const line = notice(strings().changed, strings().renew, refreshIndex);
    line.id = "changed";
    line.setAttribute("role", "alert");
    byId("more").before(line);
  }
}

function notice(text, action, onAction) {
  const line = element("p", "", "notice");
  line.append(element("span", text));
  if (action) {
    const button = element("button", action, "link");
    button.type = "button";
    button.addEventListener("click", onAction);
    line.append(button);
  }
  return line;
}

async function refreshIndex() {
  service = { ...service, ...parseInfo(await fetchInfo().catch(() => ({}))) };
  showItemKind();
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

// ---- history

function cacheEntry() {
  historyCache.set(entry, { query, results, imageMissing, scroll: window.scrollY });
  for (const oldest of [...historyCache.keys()].slice(0, -MAX_HISTORY_ENTRIES)) historyCache.delete(oldest);
}

function navigate(changes, { replace = false, top = false } = {}) {
  cacheEntry();
  query = { ...query, ...changes };
  if (!query.text.trim()) query.literal = false;
  imageMissing = false;
  if (replace) {
    history.replaceState({ entry }, "", toUrl(query));
  } else {
    entry = Date.now();
    history.pushState({ entry }, "", toUrl(query));
  }
  if (top) window.scrollTo({ top: 0 });
  runSearch();
}

function restoreEntry(state) {
  const cached = historyCache.get(state?.entry);
  entry = state?.entry ?? Date.now();
  if (cached) {
    pending?.abort();
    pending = null;
    ({ query, results, imageMissing } = cached);
    clearProblem();
    showQuery();
    if (results || !isSearch(query)) {
      showResults();
      window.scrollTo({ top: cached.scroll });
      return;
    }
  } else {
    ({ query, imageMissing } = parseUrl(location.search));
    history.replaceState({ entry }, "");
  }
  runSearch();
}

async function searchByImage(file) {
  await started;
  if (!accepts("image")) return showNotice(strings().noImages);
  if (!file) return showNotice(strings().notImage);
  try {
    navigate({ image: await readImage(file), like: "", text: input.value });
  } catch (problem) {
    showFailure(problem, runSearch);
  }
}

function showNotice(text) {
  byId("notices").replaceChildren(notice(text));
}

// ---- events

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const next = { ...query, text: input.value };
  if (matchMedia("(pointer: coarse)").matches) input.blur(); // hides the keyboard
  if (isSearch(next)) navigate({ text: input.value }, { replace: toUrl(next) === toUrl(query) });
  else input.focus();
});
input.addEventListener("input", showMix);
byId("weight").addEventListener("input", showMix);
byId("weight").addEventListener("change", () => {
  navigate({ weight: Number(byId("weight").value), text: input.value }, { replace: true });
});
byId("pick").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", () => {
  const [file] = byId("file").files;
  byId("file").value = "";
  if (file) searchByImage(file);
});
document.addEventListener("paste", (event) => {
  const file = firstImage(event.clipboardData);
  if (!file) return;
  event.preventDefault();
  searchByImage(file);
});

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  byId("drop").hidden = false;
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").hidden = true;
});
document.addEventListener("drop", (event) => {
  byId("drop").hidden = true;
  if (!carriesFiles(event)) return;
  event.preventDefault();
  searchByImage(firstImage(event.dataTransfer));
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=range]), textarea");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  input.focus();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // a URL with a #hash would be a new history entry
  byId("results").focus();
});
byId("next").addEventListener("click", loadMore);
byId("close").addEventListener("click", () => byId("viewer").close());
byId("viewer").addEventListener("click", (event) => {
  if (event.target === byId("viewer")) byId("viewer").close();
});
byId("language").addEventListener("click", () => {
  switchLanguage();
  showLanguage();
  showQuery();
  if (!byId("problem").hidden) start();
  else if (results || !isSearch(query)) showResults();
});
document.querySelector(".brand").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  navigate(EMPTY_QUERY, { top: true });
  input.focus();
});
window.addEventListener("popstate", (event) => {
  cacheEntry();
  restoreEntry(event.state);
});

// ---- start

function showLanguage() {
  translatePage(document);
  byId("samples").replaceChildren(...strings().samples.map((text) => {
    const item = element("li");
    const link = element("a", text);
    link.href = toUrl({ ...EMPTY_QUERY, text });
    link.lang = "zh-CN";
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      navigate({ ...EMPTY_QUERY, text });
    });
    item.append(link);
    return item;
  }));
  showAccepted();
}

// Where items are texts, the usual query is an image: its button comes first.
function showItemKind() {
  if (document.body.dataset.items !== service.items) {
    document.body.dataset.items = service.items;
    setItemKind(service.items);
    if (itemsAreTexts()) input.before(byId("pick"));
    else byId("go").before(byId("pick"));
    showLanguage();
  }
  showAccepted();
}

function showAccepted() {
  byId("pick").hidden = !accepts("image");
  byId("hint").textContent = accepts("image") ? strings().startHint : strings().startHintText;
}

function parseInfo(info) {
  return info.index_version ? { ...info, integerIds: info.id_type === "int" } : {};
}

async function start() {
  try {
    service = { ...service, ...parseInfo(await fetchInfo()) };
  } catch (problem) {
    showFailure(problem, start);
    return;
  }
  clearProblem({ solved: true });
  showItemKind();
  runSearch();
}

history.scrollRestoration = "manual";
showLanguage();
entry = history.state?.entry ?? Date.now();
({ query, imageMissing } = parseUrl(location.search));
history.replaceState({ entry }, "");
showQuery();
if (matchMedia("(pointer: fine)").matches) input.focus();
const started = start();
