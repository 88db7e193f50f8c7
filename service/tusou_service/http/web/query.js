// A query: what the address says, what the service is asked.
//
// `image` is an image somebody gave ({ base64, preview }); it never enters an address, which
// only says that there was one.

export const PAGE = 24;
export const DEEPEST = 10000; // offset and page together, as far as the service goes

export const EMPTY = { text: "", image: null, like: "", less: "", weight: 50, literal: false };

export function fromAddress(address) {
  const said = new URLSearchParams(address);
  const weight = Number(said.get("w") ?? 50);
  return {
    query: {
      ...EMPTY,
      text: said.get("q") ?? "",
      like: said.get("like") ?? "",
      less: said.get("less") ?? "",
      weight: weight >= 5 && weight <= 95 ? weight : 50,
      literal: said.get("literal") === "1",
    },
    hadImage: said.get("image") === "1",
  };
}

export function toAddress(query) {
  const said = new URLSearchParams();
  if (query.text) said.set("q", query.text);
  if (query.image) said.set("image", "1");
  if (query.like) said.set("like", query.like);
  if (query.less) said.set("less", query.less);
  if (isMixed(query) && query.weight !== 50) said.set("w", query.weight);
  if (query.literal) said.set("literal", "1");
  const text = said.toString();
  return text ? `/?${text}` : "/";
}

export const isAsking = (query) => Boolean(query.text.trim() || query.image || query.like);
export const isMixed = (query) => Boolean(query.text.trim() && (query.image || query.like));

// The fields of POST /search. A plain sentence asks for nothing but the sentence.
export function toFields(query, offset, version) {
  const fields = { top_k: Math.min(PAGE, DEEPEST - offset) };
  if (query.text.trim()) fields.query = query.text;
  if (query.image) fields.image = query.image.base64;
  else if (query.like) fields.item_id = query.like;
  if (query.less) fields.negative_item_id = query.less;
  if (isMixed(query) && query.weight !== 50) {
    fields.query_weight = (100 - query.weight) / 50;
    fields[query.image ? "image_weight" : "item_weight"] = query.weight / 50;
  }
  if (query.literal && fields.query) fields.interpret = false;
  if (offset) Object.assign(fields, { offset, index_version: version });
  return fields;
}
