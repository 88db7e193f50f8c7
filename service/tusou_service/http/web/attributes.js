// The attributes that the page knows by their names: title, price, link and product of an item.

import { isAbout, isObject, isRange } from "./filter.js";
import { state } from "./state.js";
import { strings } from "./strings.js";

// The first of the names that is an attribute of one of the types. docs/page.md has this table.
const ROLES = {
  title: { names: ["title", "name", "标题"], types: ["string"] },
  price: { names: ["price", "价格"], types: ["integer", "number"] },
  link: { names: ["url", "链接"], types: ["string"] },
  product: { names: ["product_id"], types: ["string", "integer"] },
};
const MAX_TITLE = 200; // characters
const MAX_FACETS = 8;

// Returns the name of the attribute with this role, undefined if there is none.
export function attributeOf(role) {
  const { names, types } = ROLES[role];
  return names.find((name) => Object.hasOwn(state.service.attributes, name) && types.includes(state.service.attributes[name]));
}

// Returns the attributes whose values are counted beside the results, as many as the service counts.
export function facetNames() {
  const shown = Object.keys(ROLES).map(attributeOf);
  return state.service.facets.filter((name) => !shown.includes(name)).slice(0, MAX_FACETS);
}

// Returns the fields of a search about attributes; the facets come with the first page.
export function attributeFields({ filter }, offset) {
  const { attributes } = state.service;
  const facets = facetNames();
  const product = attributeOf("product");
  // Integers may exceed JavaScript's safe ones.
  const shown = [...["title", "price", "link"].map(attributeOf), attributes[product] === "string" && product].filter(Boolean);
  const isOneProduct = filter.some((condition) => isAbout(condition, product));
  return {
    ...(shown.length && { fields: shown }),
    ...(product && !isOneProduct && { distinct: product }),
    ...(facets.length && !offset && { facets }),
  };
}

// The name of an attribute for people.
export function attributeName(name) {
  const { attributes } = strings();
  return Object.hasOwn(attributes, name) ? attributes[name] : name;
}

export const titleOf = (hit) => shorten(hit?.attributes[attributeOf("title")] ?? "");

export function priceOf({ attributes }) {
  const price = attributes[attributeOf("price")];
  return price === undefined ? "" : strings().price(price.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 2 }));
}

export const productOf = ({ attributes }) => attributes[attributeOf("product")];

// Returns a safe address, "" for any other: a script's, for example.
export function linkOf(hit) {
  const address = hit?.attributes[attributeOf("link")] ?? "";
  const url = URL.canParse(address) ? new URL(address) : null;
  return ["http:", "https:"].includes(url?.protocol) ? url.href : "";
}

// Shows the title of a hit, as a link if it has one; hides the element without a title and a link.
export function showTitle(hit, container) {
  const [title, address] = [titleOf(hit), linkOf(hit)];
  container.hidden = !title && !address;
  container.replaceChildren(title);
  if (!address) return;
  const link = document.createElement("a");
  Object.assign(link, { href: address, target: "_blank", rel: "noopener noreferrer", textContent: title || strings().openLink });
  link.title = strings().opensNewTab;
  container.replaceChildren(link);
}

function shorten(text) {
  return text.length > MAX_TITLE ? `${text.slice(0, MAX_TITLE).replace(/[\ud800-\udbff]$/, "")}…` : text;
}

// Returns the text of a condition for people.
export function conditionText(condition) {
  const [[name, operand] = ["", ""], ...others] = isObject(condition) ? Object.entries(condition) : [];
  const { hasValue, hasRange } = strings();
  if (others.length || !name || name.startsWith("$")) return typeof condition === "string" ? condition : JSON.stringify(condition);
  if (isRange(operand)) return hasRange(attributeName(name), operand.$gte, operand.$lte);
  return hasValue(attributeName(name), isObject(operand) ? JSON.stringify(operand) : valueText(operand));
}

export function valueText(value) {
  if (typeof value === "boolean") return value ? strings().yes : strings().no;
  return String(value);
}
