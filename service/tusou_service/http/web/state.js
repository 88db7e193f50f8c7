// What the page shows now: shared by the modules, changed by search.js and history.js.

import { EMPTY_QUERY } from "./query.js";

export const state = {
  service: { item_count: 0, integerIds: true, accepts: ["text"], items: "images", sample_item_ids: [], attributes: {}, facets: [] },
  query: { ...EMPTY_QUERY },
  imageMissing: false, // the URL stands for an image that this page does not have
  results: null, // of `query`: { items, version, tookMs, ended, changed, ... }
  knownId: "", // the query's text, if it is the id of an item
};

export const itemsAreTexts = () => state.service.items === "texts";

export const accepts = (kind) => state.service.accepts.includes(kind);

export const byId = (id) => document.getElementById(id);
