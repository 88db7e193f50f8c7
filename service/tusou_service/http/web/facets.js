// The values of attributes beside the results, with counts: choosing one filters by it.

import { attributeName, attributeOf, conditionText, facetNames, valueText } from "./attributes.js";
import { boundsOf, isAbout, range, without } from "./filter.js";
import { element } from "./grid.js";
import { navigate } from "./history.js";
import { byId, state } from "./state.js";
import { strings } from "./strings.js";

const SHOWN_VALUES = 10; // the rest on demand

const panel = byId("facets");
let open = false; // on a narrow screen

// Shows the conditions of the query, each with a button that removes it.
export function showFilters() {
  const { filter } = state.query;
  byId("filters").hidden = !filter.length;
  byId("filters").replaceChildren(...filter.map((condition) => {
    const text = conditionText(condition);
    const name = element("span", text, "name");
    name.title = text;
    const remove = button("×", () => choose(filter.filter((other) => other !== condition)));
    remove.setAttribute("aria-label", strings().remove(text));
    const chip = element("li", "", "chip");
    chip.append(name, remove);
    return chip;
  }), ...(filter.length > 1 ? [clearAll()] : []));
}

export const clearButton = () => [strings().clearFilters, () => choose([])];

function clearAll() {
  const item = element("li");
  item.append(button(...clearButton(), "link"));
  return item;
}

const choose = (filter) => navigate({ filter }, { top: true });

export function showFacets() {
  const focused = panel.contains(document.activeElement) ? document.activeElement.closest("section")?.dataset.name : null;
  const sections = state.results ? [priceSection(), ...facetNames().map(valueSection)].filter(Boolean) : [];
  const before = rangeInputs();
  const typing = before.indexOf(document.activeElement);
  panel.hidden = !sections.length;
  panel.replaceChildren(toggle(), ...sections);
  // Results may arrive while a bound is being typed.
  rangeInputs().forEach((input, position) => {
    const { value, defaultValue } = before[position] ?? input;
    if (value !== defaultValue) input.value = value;
  });
  if (typing >= 0 && rangeInputs()[typing]) {
    rangeInputs()[typing].focus({ preventScroll: true });
    return;
  }
  if (focused === null) return;
  const same = sections.find((section) => section.dataset.name === focused) ?? sections[0];
  same?.querySelector("button, input").focus({ preventScroll: true });
}

const rangeInputs = () => [...panel.querySelectorAll(".range input")];

function toggle() {
  const { filters } = strings();
  const shown = button(filters(state.query.filter.length), () => {
    open = !open;
    apply();
  }, "toggle");
  function apply() {
    shown.setAttribute("aria-expanded", String(open));
    panel.classList.toggle("open", open);
  }
  apply();
  return shown;
}

function valueSection(name) {
  const { filter } = state.query;
  const single = state.service.attributes[name] !== "strings";
  if (single && filter.some((condition) => isAbout(condition, name))) return null;
  const isChosen = (value) => filter.some((condition) => isAbout(condition, name) && condition[name] === value);
  const { facets = {}, total } = state.results;
  // A value of all results would not narrow them.
  const values = (Object.hasOwn(facets, name) ? facets[name] : []).filter(({ value, count }) => count < total && !isChosen(value));
  if (!values.length) return null;
  const list = element("ul");
  const show = (shown) => list.replaceChildren(...shown.map(({ value, count }) => valueItem(name, value, count)));
  show(values.slice(0, SHOWN_VALUES));
  const created = section(name, list);
  if (values.length > SHOWN_VALUES) {
    const rest = button(strings().moreValues, () => {
      show(values);
      rest.remove();
      list.children[SHOWN_VALUES].firstChild.focus();
    }, "link");
    created.append(rest);
  }
  return created;
}

function valueItem(name, value, count) {
  const item = element("li");
  const text = valueText(value);
  const chosen = button("", () => choose([...state.query.filter, { [name]: value }]), "value");
  const shown = element("span", text, "name");
  shown.title = text;
  chosen.append(shown, " ", element("span", String(count), "count"));
  item.append(chosen);
  return item;
}

function priceSection() {
  const name = attributeOf("price");
  if (!name) return null;
  const form = element("form", "", "range");
  const bounds = boundsOf(state.query.filter, name);
  const inputs = ["from", "to"].map((end, position) => {
    const input = element("input");
    Object.assign(input, { type: "number", min: "0", step: "any", defaultValue: bounds[position] ?? "", placeholder: strings()[end] });
    input.setAttribute("aria-label", strings()[`${end}Label`](attributeName(name)));
    return input;
  });
  const apply = element("button", strings().apply);
  form.append(inputs[0], element("span", "–"), inputs[1], apply);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    for (const input of inputs) input.defaultValue = input.value; // no longer being typed
    const [from, to] = inputs.map(({ value }) => (value === "" ? null : Number(value)));
    const sorted = from !== null && to !== null && from > to ? [to, from] : [from, to];
    choose([...without(state.query.filter, name), range(name, ...sorted)].filter(Boolean));
  });
  return section(name, form);
}

function section(name, content) {
  const created = element("section");
  created.dataset.name = name;
  created.append(element("h2", attributeName(name)), content);
  return created;
}

function button(text, action, className) {
  const created = element("button", text, className);
  created.type = "button";
  created.addEventListener("click", action);
  return created;
}
