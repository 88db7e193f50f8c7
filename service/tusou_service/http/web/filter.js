// The filter of a query: a list of conditions, all of which an item has to pass.
//
// Each is a filter of the API, usually of one attribute: { category: "连衣裙" }. One that the address
// does not spell as JSON stays a text, which the service refuses.

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

export function parseFilter(text) {
  if (!text) return [];
  try {
    return listConditions(JSON.parse(text));
  } catch {
    return [text];
  }
}

function listConditions(filter) {
  if (!isObject(filter)) return [filter];
  return Object.entries(filter).flatMap(([name, operand]) => (
    name === "$and" && Array.isArray(operand) ? operand.flatMap(listConditions) : [{ [name]: operand }]
  ));
}

// Returns the filter of a request, undefined without conditions.
export function toFilter(conditions) {
  if (!conditions.every(isObject)) return conditions[0];
  const entries = conditions.flatMap(Object.entries);
  const names = new Set(entries.map(([name]) => name));
  if (names.size < entries.length) return { $and: conditions };
  return entries.length ? Object.fromEntries(entries) : undefined;
}

export const isAbout = (condition, name) => isObject(condition) && Object.hasOwn(condition, name);

export const without = (conditions, name) => conditions.filter((condition) => !isAbout(condition, name));

// A condition with bounds, which may be missing; null if both are.
export function range(name, from, to) {
  const bounds = { ...(from !== null && { $gte: from }), ...(to !== null && { $lte: to }) };
  return Object.keys(bounds).length ? { [name]: bounds } : null;
}

export function boundsOf(conditions, name) {
  const bounds = conditions.find((condition) => isAbout(condition, name))?.[name];
  return isRange(bounds) ? [bounds.$gte ?? null, bounds.$lte ?? null] : [null, null];
}

export function isRange(operand) {
  const names = isObject(operand) ? Object.keys(operand) : [];
  return names.length > 0 && names.every((name) => ["$gte", "$lte"].includes(name) && Number.isFinite(operand[name]));
}
