// The search page: one query at a time, its results, and the address that says both.

import { Problem, imagesState, info, itemText, search } from "./api.js";
import { areTexts, card, openViewer, placeholders, show } from "./grid.js";
import { firstImage, readImage } from "./image.js";
import { clearProblem, showProblem } from "./problem.js";
import { DEEPEST, EMPTY, PAGE, fromAddress, isAsking, isMixed, toAddress, toFields } from "./query.js";
import { say, speakOf, switchLanguage, words } from "./words.js";

const byId = (id) => document.getElementById(id);
const input = byId("query");
const grid = byId("grid");

const SLOW = 180; // milliseconds after which a search shows that it is busy
const IMAGES_SLOW = 900; // and after which it asks whether the image model is still loading
const KEPT_ENTRIES = 30;

let service = { item_count: 0, integers: true, accepts: ["text"], items: "images" };
let query = { ...EMPTY };
let hadImage = false; // the address speaks of an image that this page does not have
let found = null; // what is on the page: { items, version, tookMs, ... }
let asking = null; // the AbortController of the request that runs
const kept = new Map(); // history entry -> what it showed, so that going back asks nothing
let entry = 0;

// ---- asking

const accepts = (kind) => service.accepts.includes(kind);

async function run() {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  found = null;
  clearProblem();
  showQuery();
  if (!isAsking(query)) {
    showFound();
    return;
  }
  const slow = setTimeout(showBusy, SLOW);
  const images = query.image && setTimeout(sayImagesLoad, IMAGES_SLOW, signal);
  try {
    const answer = await search(toFields(query, 0), service.integers, signal);
    found = { ...digest(answer), items: pairs(answer), ended: answer.item_ids.length < PAGE, changed: false };
    clearProblem({ solved: true });
    showFound();
  } catch (problem) {
    if (signal.aborted) return;
    grid.replaceChildren();
    failed(problem, run);
  } finally {
    clearTimeout(slow);
    clearTimeout(images);
    if (asking?.signal === signal) {
      asking = null;
      grid.removeAttribute("aria-busy");
      if (found) watchEnd();
    }
  }
}

async function runMore() {
  if (asking || !found || found.ended || found.changed || found.items.length >= DEEPEST) return;
  asking = new AbortController();
  const { signal } = asking;
  const before = found.items.length;
  byId("next").textContent = words().loadingMore;
  try {
    const answer = await search(toFields(query, before, found.version), service.integers, signal);
    clearProblem({ solved: true });
    if (answer.version_changed || answer.index_version !== found.version) {
      found.changed = true;
    } else {
      found.items.push(...pairs(answer));
      found.ended = answer.item_ids.length < Math.min(PAGE, DEEPEST - before);
    }
    append(before);
    showLines();
  } catch (problem) {
    if (!signal.aborted) failed(problem, runMore, byId("more"));
  } finally {
    byId("next").textContent = words().more;
    if (asking?.signal === signal) asking = null;
    if (!signal.aborted && byId("problem").hidden) watchEnd();
  }
}

function digest(answer) {
  const { index_version: version, took_ms: tookMs, truncated, interpreted } = answer;
  return { version, tookMs, truncated, interpreted };
}

function pairs(answer) {
  return answer.item_ids.map((id, place) => ({ id: String(id), score: answer.scores[place] }));
}

async function sayImagesLoad(signal) {
  const state = await imagesState().catch(() => "");
  if (state !== "ready" && state && !signal.aborted) byId("status").textContent = words().imagesLoading;
}

function failed(error, retry, before = grid) {
  const problem = error instanceof Problem ? error : new Problem({ code: "other" });
  if (problem !== error) console.error(error); // a bug, or an answer that is not the service's
  if (!found) byId("status").textContent = "";
  before.before(byId("problem"));
  byId("more").hidden = true;
  showProblem(problem, retry);
}

// ---- showing

function showQuery() {
  document.body.dataset.view = isAsking(query) || hadImage ? "results" : "start";
  document.title = [query.text.trim() || query.like, "图搜 Tusou"].filter(Boolean).join(" · ");
  if (input.value !== query.text) input.value = query.text;
  byId("weight").value = query.weight;
  showChips();
  showMix();
}

function showChips() {
  const { uploaded, likeItem, lessItem } = words();
  const chips = [
    query.image && ["image", uploaded, null],
    query.like && ["like", likeItem(query.like), query.like],
    query.less && ["less", lessItem(query.less), query.less],
  ].filter(Boolean);
  byId("chips").replaceChildren(...chips.map(chip));
  input.placeholder = chips.length ? words().queryHintMore : words().queryHint;
}

function chip([field, label, id]) {
  const made = document.createElement("span");
  made.className = `chip ${field}`;
  const thumb = document.createElement("span");
  thumb.className = "thumb";
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = label;
  if (id && areTexts()) {
    thumb.hidden = true;
    const { likeItem, lessItem } = words();
    itemText(id).then((text) => { name.textContent = (field === "like" ? likeItem : lessItem)(text); }, () => {});
  } else if (id) {
    show(id, thumb, { eager: true });
  } else {
    const image = document.createElement("img");
    Object.assign(image, { src: query.image.preview, alt: "" });
    thumb.append(image);
  }
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "×";
  remove.setAttribute("aria-label", words().remove(label));
  remove.addEventListener("click", () => {
    go({ [field]: EMPTY[field], text: input.value });
    input.focus();
  });
  made.append(thumb, name, remove);
  return made;
}

function showMix() {
  byId("mix").hidden = !isMixed({ ...query, text: input.value });
  byId("weight").setAttribute("aria-valuetext", words().weightSaid(byId("weight").value));
}

function showBusy() {
  byId("status").textContent = words().searching;
  byId("meta").textContent = "";
  byId("notices").replaceChildren();
  byId("end").textContent = "";
  byId("more").hidden = true;
  grid.setAttribute("aria-busy", "true");
  grid.replaceChildren(...placeholders(12));
}

function showFound() {
  grid.replaceChildren();
  append(0);
  showLines();
  watchEnd();
  // Whoever pressed a button that is gone now goes on at the results.
  if (document.activeElement === document.body) byId("results").focus({ preventScroll: true });
}

function append(from) {
  const acts = {
    onLike: accepts("item") ? (id) => go({ ...EMPTY, like: id }, { top: true }) : null,
    onLess: accepts("item") ? (id) => go({ less: id }, { top: true }) : null,
    onOpen: (one) => openViewer(one),
  };
  const items = found?.items.slice(from) ?? [];
  grid.append(...items.map((one, place) => card(one, from + place, acts)));
}

function showLines() {
  const { shown, took, version, none, pool, allShown, farEnough } = words();
  const count = found?.items.length ?? 0;
  byId("status").textContent = !found ? "" : count ? shown(count, service.item_count) : none;
  byId("meta").textContent = found
    ? `${took(found.tookMs.toFixed(1))} · ${version(found.version.slice(0, 8))}`
    : service.index_version && document.body.dataset.view === "start"
      ? `${pool(service.item_count)} · ${version(service.index_version.slice(0, 8))}`
      : "";
  byId("meta").title = found?.version ?? "";
  const all = service.item_count - [query.like && !query.image, query.less].filter(Boolean).length;
  const over = found?.ended || count >= DEEPEST;
  byId("more").hidden = !found || over || found.changed;
  // An index may end its answers before the pool does.
  byId("end").textContent = !over || !count ? "" : count < all ? farEnough(count) : allShown(count);
  showNotices();
}

function showNotices() {
  const { understood, literal, isLiteral, interpret, truncated, lostImage, lostRest, unshared } = words();
  const lines = [];
  if (hadImage && !query.image) lines.push([isAsking(query) ? `${lostImage}${lostRest}` : lostImage]);
  if (query.image) lines.push([unshared]);
  if (found?.interpreted) {
    const { positive, negative } = found.interpreted;
    lines.push([understood(positive, negative), literal, () => go({ literal: true })]);
  }
  if (query.literal && query.text) lines.push([isLiteral, interpret, () => go({ literal: false })]);
  if (found?.truncated) lines.push([truncated]);
  byId("notices").replaceChildren(...lines.map((line) => notice(...line)));
  byId("changed")?.remove();
  if (found?.changed) {
    const line = notice(words().changed, words().renew, renew);
    line.id = "changed";
    line.setAttribute("role", "alert");
    byId("more").before(line);
  }
}

function notice(text, action, act) {
  const line = document.createElement("p");
  line.className = "notice";
  const said = document.createElement("span");
  said.textContent = text;
  line.append(said);
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = action;
    button.addEventListener("click", act);
    line.append(button);
  }
  return line;
}

async function renew() {
  service = { ...service, ...known(await info().catch(() => ({}))) };
  showKind();
  window.scrollTo({ top: 0 });
  await run();
}

// More comes by itself near the end; observing anew tells when the end is in view already.
const end = new IntersectionObserver(([{ isIntersecting }]) => {
  if (isIntersecting && !byId("more").hidden) runMore();
}, { rootMargin: "500px" });

function watchEnd() {
  end.disconnect();
  end.observe(byId("more"));
}

// ---- going somewhere

function remember() {
  kept.set(entry, { query, found, hadImage, scroll: window.scrollY });
  for (const oldest of [...kept.keys()].slice(0, -KEPT_ENTRIES)) kept.delete(oldest);
}

function go(changes, { replace = false, top = false } = {}) {
  remember();
  query = { ...query, ...changes };
  if (!query.text.trim()) query.literal = false;
  hadImage = false;
  if (replace) {
    history.replaceState({ entry }, "", toAddress(query));
  } else {
    entry = Date.now();
    history.pushState({ entry }, "", toAddress(query));
  }
  if (top) window.scrollTo({ top: 0 });
  run();
}

function arrive(state) {
  const before = kept.get(state?.entry);
  entry = state?.entry ?? Date.now();
  if (before) {
    asking?.abort();
    asking = null;
    ({ query, found, hadImage } = before);
    clearProblem();
    showQuery();
    if (found || !isAsking(query)) {
      showFound();
      window.scrollTo({ top: before.scroll });
      return;
    }
  } else {
    ({ query, hadImage } = fromAddress(location.search));
    history.replaceState({ entry }, "");
  }
  run();
}

async function give(file) {
  if (!accepts("image")) return tell(words().noImages);
  if (!file) return tell(words().notImage);
  try {
    go({ image: await readImage(file), like: "", text: input.value });
  } catch (problem) {
    failed(problem, run);
  }
}

function tell(text) {
  byId("notices").replaceChildren(notice(text));
}

// ---- listening

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const next = { ...query, text: input.value };
  if (matchMedia("(pointer: coarse)").matches) input.blur(); // puts the keyboard away
  if (isAsking(next)) go({ text: input.value }, { replace: toAddress(next) === toAddress(query) });
  else input.focus();
});
input.addEventListener("input", showMix);
byId("weight").addEventListener("input", showMix);
byId("weight").addEventListener("change", () => {
  go({ weight: Number(byId("weight").value), text: input.value }, { replace: true });
});
byId("pick").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", () => {
  const [file] = byId("file").files;
  byId("file").value = "";
  if (file) give(file);
});
document.addEventListener("paste", (event) => {
  const file = firstImage(event.clipboardData);
  if (!file) return;
  event.preventDefault();
  give(file);
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
  give(firstImage(event.dataTransfer));
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=range]), textarea");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  input.focus();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // an address with a #hash would be a new entry in the history
  byId("results").focus();
});
byId("next").addEventListener("click", runMore);
byId("close").addEventListener("click", () => byId("viewer").close());
byId("viewer").addEventListener("click", (event) => {
  if (event.target === byId("viewer")) byId("viewer").close();
});
byId("language").addEventListener("click", () => {
  switchLanguage();
  showLanguage();
  showQuery();
  if (!byId("problem").hidden) boot();
  else if (found || !isAsking(query)) showFound();
});
document.querySelector(".brand").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(EMPTY, { top: true });
  input.focus();
});
window.addEventListener("popstate", (event) => {
  remember();
  arrive(event.state);
});

// ---- starting

function showLanguage() {
  say(document);
  byId("samples").replaceChildren(...words().samples.map((text) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = toAddress({ ...EMPTY, text });
    link.lang = "zh-CN";
    link.textContent = text;
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      go({ ...EMPTY, text });
    });
    item.append(link);
    return item;
  }));
  showAccepted();
}

// Texts are there for images to find, so the way to give an image comes first.
function showKind() {
  if (document.body.dataset.items !== service.items) {
    document.body.dataset.items = service.items;
    speakOf(service.items);
    if (areTexts()) input.before(byId("pick"));
    else byId("go").before(byId("pick"));
    showLanguage();
  }
  showAccepted();
}

function showAccepted() {
  byId("pick").hidden = !accepts("image");
  byId("hint").textContent = accepts("image") ? words().startHint : words().startHintText;
}

function known(said) {
  if (!said.index_version) return {};
  return {
    ...said,
    integers: said.id_type === "int",
  };
}

async function boot() {
  try {
    service = { ...service, ...known(await info()) };
  } catch (problem) {
    failed(problem, boot);
    return;
  }
  clearProblem({ solved: true });
  showKind();
  run();
}

history.scrollRestoration = "manual";
showLanguage();
entry = history.state?.entry ?? Date.now();
({ query, hadImage } = fromAddress(location.search));
history.replaceState({ entry }, "");
showQuery();
if (matchMedia("(pointer: fine)").matches) input.focus();
boot();
