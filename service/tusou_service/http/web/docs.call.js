// One call of the API: its description, and a form that sends it.

import { code, element, exampleOf, fieldTable, objectRows, resolve } from "./docs.schema.js";

const PLACES = { path: "in the path", query: "in the query string", header: "header" };
const SHOWN_HEADERS = ["content-type", "x-request-id", "x-arm", "retry-after", "allow"];

export const anchor = (method, path) => `${method}${path.replace(/[^a-z0-9]+/gi, "-")}`;

export function describe(document_, method, path, operation, key) {
  const badge = element("span", method.toUpperCase());
  badge.className = "method";
  const section = element("section", element("h2", badge, path), element("p", operation.description ?? operation.summary ?? ""));
  section.id = anchor(method, path);
  section.className = "call";
  const scopes = operation.security?.[1]?.bearer;
  section.append(element("p", scopes ? `If the service has keys: one with the scope ${scopes.join(" or ")}.` : "Needs no key."));
  const content = operation.requestBody?.content ?? {};
  const body = resolve(document_, content["application/json"]?.schema);
  if (body) section.append(element("h3", "Body"), fieldTable(objectRows(body, true), `Body of ${path}`));
  else if (operation.requestBody) section.append(element("h3", "Body"), element("p", `One of ${Object.keys(content).join(", ")}`));
  const parameters = operation.parameters ?? [];
  if (parameters.length) {
    const rows = parameters.map(({ name, schema, required, description, example, in: place }) => (
      [name, { ...schema, description, ...(example !== undefined && { example }) }, required === true, PLACES[place]]
    ));
    section.append(element("h3", "Parameters"), fieldTable(rows, `Parameters of ${path}`));
  }
  section.append(element("h3", "Example"), pre(curl(method, path, parameters, body, content)));
  section.append(tryIt(method, path, parameters, body, content, key), responses(document_, path, operation));
  return section;
}

function pre(text) {
  const created = element("pre", text);
  created.tabIndex = 0;
  return created;
}

function curl(method, path, parameters, body, content) {
  const address = fill(path, parameters, ({ schema }) => String(exampleOf(schema)));
  const lines = [`curl ${method === "post" ? "-X POST " : ""}'${location.origin}${address}'`, "-H 'Authorization: Bearer KEY'"];
  if (body) {
    const text = JSON.stringify(body.examples?.[0] ?? {}).replaceAll("'", "'\\''");
    lines.push("-H 'Content-Type: application/json'", `-d '${text}'`);
  } else if (Object.keys(content).length) {
    lines.push("-H 'Content-Type: image/jpeg'", "--data-binary @image.jpg");
  }
  return lines.join(" \\\n  ");
}

// A path with its parameters filled in.
function fill(path, parameters, valueOf) {
  return parameters.filter((parameter) => parameter.in === "path").reduce(
    (filled, parameter) => filled.replace(`{${parameter.name}}`, encodeURIComponent(valueOf(parameter))), path,
  );
}

function tryIt(method, path, parameters, body, content, key) {
  const form = element("form");
  const inputs = element("div");
  inputs.className = "inputs";
  for (const parameter of parameters) {
    const input = labelled(inputs, `${anchor(method, path)}-${parameter.name}`, parameter.name);
    input.name = parameter.name;
    input.required = parameter.required === true;
    if (input.required) input.value = exampleOf(parameter.schema) ?? "";
  }
  if (inputs.childElementCount) form.append(inputs);
  let source = null;
  if (body) {
    source = element("textarea");
    source.value = JSON.stringify(body.examples?.[0] ?? {}, null, 2);
    source.spellcheck = false;
    source.setAttribute("aria-label", `Body of ${path}`);
    form.append(source);
  } else if (Object.keys(content).length) {
    source = labelled(inputs, `${anchor(method, path)}-file`, "image");
    source.type = "file";
    source.accept = Object.keys(content).join(",");
    source.required = true;
  }
  const button = element("button", "Send");
  const answer = element("div");
  answer.className = "answer";
  answer.setAttribute("aria-live", "polite");
  form.append(button, answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    answer.replaceChildren(...await send(method, path, parameters, form, source, key()));
    button.disabled = false;
  });
  return element("details", element("summary", "Try it"), form);
}

function labelled(frame, id, text) {
  const label = element("label", text);
  const input = element("input");
  label.htmlFor = id;
  input.id = id;
  input.autocomplete = "off";
  frame.append(label, input);
  return input;
}

// Sends the form's call and returns what to show of the answer.
async function send(method, path, parameters, form, source, key) {
  const value = ({ name }) => form.elements.namedItem(name).value;
  const given = parameters.filter((parameter) => value(parameter) !== "");
  const query = new URLSearchParams();
  for (const parameter of given.filter((one) => one.in === "query")) {
    const values = parameter.schema.type === "array" ? value(parameter).split(",") : [value(parameter)];
    for (const part of values) query.append(parameter.name, part.trim());
  }
  const headers = Object.fromEntries(given.filter((one) => one.in === "header").map((one) => [one.name, value(one)]));
  if (key) headers.Authorization = `Bearer ${key}`;
  const file = source?.files?.[0];
  if (source) headers["Content-Type"] = file ? file.type || "image/jpeg" : "application/json";
  const address = fill(path, parameters, value) + (query.size ? `?${query}` : "");
  try {
    const response = await fetch(address, { method: method.toUpperCase(), headers, body: file ?? source?.value });
    return await show(response);
  } catch (error) {
    return [element("p", `The service did not answer: ${error.message}`)];
  }
}

async function show(response) {
  const shown = SHOWN_HEADERS.filter((name) => response.headers.has(name));
  const lines = [`HTTP ${response.status}`, ...shown.map((name) => `${name}: ${response.headers.get(name)}`)];
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("image/")) {
    const image = element("img");
    image.src = URL.createObjectURL(await response.blob());
    image.alt = "The image of the answer";
    return [pre(lines.join("\n")), image];
  }
  return [pre(lines.join("\n")), pre(readable(await response.text()))];
}

// Indented, unless reading would round an integer: ids may be longer than JavaScript's.
function readable(text) {
  if (/(?<![.\d])\d{16,}/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function responses(document_, path, operation) {
  const head = element("tr", element("th", "Status"), element("th", "Meaning"));
  const rows = Object.entries(operation.responses).map(([status, { description }]) => {
    const isError = Number(status) >= 400;
    const meaning = isError ? description.split(", ").flatMap((name, n) => (n ? [" ", code(name)] : [code(name)])) : ["the answer"];
    return element("tr", element("td", status), element("td", ...meaning));
  });
  const details = element("details", element("summary", "Responses"), element("table", element("thead", head), element("tbody", ...rows)));
  const answer = resolve(document_, operation.responses["200"]?.content?.["application/json"]?.schema);
  if (answer?.properties) details.append(element("h3", "Fields of the answer"), fieldTable(objectRows(answer, false), `Answer of ${path}`));
  return details;
}
