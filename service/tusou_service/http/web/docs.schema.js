// Tables of the fields that a JSON schema describes.

export function element(name, ...children) {
  const created = document.createElement(name);
  created.append(...children);
  return created;
}

export const code = (text) => element("code", text);

const lastPart = (reference) => reference.split("/").pop();

// The words for a type, with links to the objects that it names.
function typeNodes(schema) {
  if (schema.$ref) {
    const link = element("a", lastPart(schema.$ref));
    link.href = `#object-${lastPart(schema.$ref)}`;
    return [link];
  }
  const choices = (schema.anyOf ?? []).filter(({ type }) => type !== "null");
  if (choices.length) return choices.flatMap((choice, n) => (n ? [" or ", ...typeNodes(choice)] : typeNodes(choice)));
  if (schema.const !== undefined) return [JSON.stringify(schema.const)];
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(" or ")];
  const items = schema.items ?? schema.prefixItems?.[0];
  const type = items ? ["list of (", ...typeNodes(items), ")"] : [schema.type ?? "any value"];
  return [...type, limits(schema)];
}

function limits({ minimum, exclusiveMinimum, maximum, maxLength, minItems, maxItems }) {
  if (minimum !== undefined && maximum !== undefined) return `, ${minimum} to ${maximum}`;
  if (exclusiveMinimum !== undefined && maximum !== undefined) return `, over ${exclusiveMinimum}, at most ${maximum}`;
  if (maxLength !== undefined) return `, at most ${maxLength} characters`;
  if (maxItems !== undefined) return `, ${minItems ?? 0} to ${maxItems} of them`;
  return "";
}

function need(schema, isRequired) {
  if (isRequired) return "required";
  const isSet = schema.default !== undefined && schema.default !== null;
  return isSet ? `default ${JSON.stringify(schema.default)}` : "optional";
}

export const exampleOf = (schema) => schema.example ?? schema.examples?.[0] ?? schema.default ?? null;

// Rows: [name, schema, whether it is required, where it is sent].
export function fieldTable(rows, caption) {
  const withExamples = rows.some(([, schema]) => (schema.example ?? schema.examples?.[0]) !== undefined);
  const columns = ["Field", "Type", "Meaning", ...(withExamples ? ["Example"] : [])];
  const head = element("tr", ...columns.map((column) => {
    const cell = element("th", column);
    cell.scope = "col";
    return cell;
  }));
  const body = rows.map(([name, schema, isRequired, place]) => {
    const field = element("td", code(name));
    if (place) field.append(element("br"), place);
    const type = element("td", ...typeNodes(schema));
    if (isRequired !== null) type.append(element("br"), need(schema, isRequired));
    const cells = [field, type, element("td", schema.description ?? "")];
    if (withExamples) cells.push(element("td", code(JSON.stringify(exampleOf(schema)))));
    return element("tr", ...cells);
  });
  const table = element("table", element("thead", head), element("tbody", ...body));
  table.setAttribute("aria-label", caption);
  return scrolling(table, caption);
}

// What may be wider than a phone scrolls by itself, with the keyboard, too.
function scrolling(table, caption) {
  const frame = element("div", table);
  frame.className = "scroll";
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", caption);
  return frame;
}

// The rows of an object: of a request, with what is required; of a response, without.
export function objectRows(schema, isRequest) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(
    ([name, field]) => [name, field, isRequest ? required.has(name) : null],
  );
  return rows.sort(([, , first], [, , second]) => Number(second) - Number(first));
}

export function resolve(document_, schema) {
  return schema?.$ref ? document_.components.schemas[lastPart(schema.$ref)] : schema;
}
