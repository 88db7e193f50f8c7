// The search page: its events, its language and its start.

import { showMix, showQuery } from "./box.js";
import { navigate, startAgain, startHistory } from "./history.js";
import { readImage } from "./image.js";
import { clearProblem } from "./problem.js";
import { EMPTY_QUERY, isSearch, toUrl } from "./query.js";
import { showNotice } from "./results.js";
import { showSamples } from "./samples.js";
import { cancelSearch, loadMore, readInfo, redraw, runSearch, showFailure } from "./search.js";
import { accepts, byId, itemsAreTexts, state } from "./state.js";
import { strings, switchLanguage, translatePage } from "./strings.js";
import { isAddress, listenForImages } from "./uploads.js";
import { listenInViewer, showView } from "./viewer.js";

const input = byId("query");
let isStarted = false; // /info is read, or has failed

// ---- start

async function start() {
  try {
    await readInfo();
  } catch (problem) {
    showFailure(problem, start);
    return;
  } finally {
    isStarted = true;
  }
  clearProblem({ solved: true });
  showItemKind();
  showSamples();
  await runSearch();
  showView(history.state?.view ?? "");
}

// Where items are texts, the usual query is an image: its button comes first.
function showItemKind() {
  const { items } = state.service;
  if (document.body.dataset.items !== items) {
    document.body.dataset.items = items;
    if (itemsAreTexts()) input.before(byId("pick"));
    else byId("go").before(byId("pick"));
    translatePage(document);
  }
  byId("pick").hidden = !accepts("image");
}

function restore(scroll) {
  cancelSearch();
  clearProblem();
  if (!state.results && isSearch(state.query)) {
    runSearch();
    return;
  }
  showQuery();
  redraw();
  window.scrollTo({ top: scroll ?? 0 });
}

// ---- events

async function refuseAddress() {
  await started; // the first search clears notices
  showNotice(strings().isAddress);
}

async function searchByImage(file) {
  await started;
  if (!accepts("image")) showNotice(strings().noImages);
  else if (!file) showNotice(strings().notImage);
  else {
    try {
      navigate({ image: await readImage(file), like: "", text: input.value });
    } catch (problem) {
      showFailure(problem, runSearch);
    }
  }
}

listenForImages({
  onImage: searchByImage,
  onItem: (id) => navigate({ ...EMPTY_QUERY, like: id }, { top: true }),
  onAddress: refuseAddress,
});
listenInViewer(loadMore);

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const next = { ...state.query, text: input.value };
  if (matchMedia("(pointer: coarse)").matches) input.blur(); // hides the keyboard
  if (isAddress(next.text)) refuseAddress();
  else if (isSearch(next)) navigate({ text: input.value }, { replace: toUrl(next) === toUrl(state.query) });
  else input.focus();
});
input.addEventListener("input", showMix);
byId("weight").addEventListener("input", showMix);
byId("weight").addEventListener("change", () => {
  navigate({ weight: Number(byId("weight").value), text: input.value }, { replace: true });
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=range]), textarea");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey || byId("viewer").open) return;
  event.preventDefault();
  input.focus();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // a URL with a #hash would be a new history entry
  byId("results").focus();
});
byId("next").addEventListener("click", loadMore);
byId("language").addEventListener("click", async () => {
  await switchLanguage();
  translatePage(document);
  showSamples();
  showQuery();
  if (!byId("problem").hidden) start();
  else if (state.results || !isSearch(state.query)) redraw();
});
document.querySelector(".brand").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  startAgain();
  input.focus();
});

// A query that comes before /info is searched for by `start`, with the attributes that /info names.
startHistory({ search: () => (isStarted ? runSearch() : showQuery()), restore, view: showView });
translatePage(document);
showQuery();
if (matchMedia("(pointer: fine)").matches) input.focus();
const started = start();
