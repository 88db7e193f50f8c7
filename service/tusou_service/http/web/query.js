// A query, its URL, and its request.
//
// `image` is an uploaded image ({ id, base64, preview }). It is not written into the URL, which only
// says that there was one. `like` is the item to search for; `fits` and `less` are results that the
// user liked and disliked. `filter` is a list of conditions, see filter.js.

import { parseFilter, toFilter } from "./filter.js";

export const PAGE_SIZE = 24;
export const MAX_RESULTS = 10000; // the service limits offset + top_k to this

const MAX_FEEDBACK = 32; // the service takes as many liked items, and as many disliked ones

export const EMPTY_QUERY = { text: "", image: null, like: "", fits: [], less: [], weight: 50, literal: false, filter: [] };

export function parseUrl(search) {
  const parameters = new URLSearchParams(search);
  const weight = Number(parameters.get("w") ?? 50);
  return {
    query: {
      ...EMPTY_QUERY,
      text: parameters.get("q") ?? "",
      like: parameters.get("like") ?? "",
      fits: parameters.getAll("fits").slice(0, MAX_FEEDBACK),
      less: parameters.getAll("less").slice(0, MAX_FEEDBACK),
      weight: weight >= 5 && weight <= 95 ? weight : 50,
      literal: parameters.get("literal") === "1",
      filter: parseFilter(parameters.get("filter")),
    },
    imageMissing: parameters.get("image") === "1",
  };
}

export function toUrl(query) {
  const parameters = new URLSearchParams();
  if (query.text) parameters.set("q", query.text);
  if (query.image) parameters.set("image", "1");
  if (query.like) parameters.set("like", query.like);
  for (const field of ["fits", "less"]) for (const id of query[field]) parameters.append(field, id);
  if (isWeighted(query) && query.weight !== 50) parameters.set("w", query.weight);
  if (query.literal) parameters.set("literal", "1");
  if (query.filter.length) parameters.set("filter", JSON.stringify(toFilter(query.filter)));
  const text = parameters.toString();
  return text ? `/?${text}` : "/";
}

export const isSearch = (query) => Boolean(query.text.trim() || query.image || query.like);
export const isWeighted = (query) => Boolean(query.text.trim() && (query.image || query.like));

// Returns the kind of a query of one part: "text", "image" or "item"; "" for a mixture.
export function scoredAs({ text, image, like, fits, less }) {
  const kinds = [text.trim() && "text", image ? "image" : like && "item"].filter(Boolean);
  return kinds.length === 1 && !fits.length && !less.length ? kinds[0] : "";
}

// Returns the changes to the query after the user liked ("fits") or disliked ("less") a result.
export function judged(query, field, id) {
  const other = field === "fits" ? "less" : "fits";
  const without = (ids) => ids.filter((each) => each !== id);
  return { [field]: [...without(query[field]), id].slice(-MAX_FEEDBACK), [other]: without(query[other]) };
}

// Whether the text may be an item's id: a number, or ASCII without spaces where ids are texts.
export function couldBeId(query, integerIds) {
  const pattern = integerIds ? /^(0|[1-9]\d{0,17})$/ : /^[!-~]{1,256}$/;
  return scoredAs(query) === "text" && pattern.test(query.text.trim());
}

// Returns the fields of POST /search; options that have their default are left out.
export function toFields(query, offset, version) {
  const fields = { top_k: Math.min(PAGE_SIZE, MAX_RESULTS - offset) };
  if (query.text.trim()) fields.query = query.text;
  if (query.image) fields.image = query.image.base64;
  else if (query.like) fields.item_id = query.like;
  if (query.fits.length) fields.like = query.fits;
  if (query.less.length) fields.dislike = query.less;
  if (isWeighted(query) && query.weight !== 50) {
    fields.query_weight = (100 - query.weight) / 50;
    fields[query.image ? "image_weight" : "item_weight"] = query.weight / 50;
  }
  if (query.literal && fields.query) fields.interpret = false;
  if (query.filter.length) fields.filter = toFilter(query.filter);
  if (offset) Object.assign(fields, { offset, index_version: version });
  return fields;
}
