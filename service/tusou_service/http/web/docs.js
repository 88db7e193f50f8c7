"use strict";

function element(name, text) {
  const created = document.createElement(name);
  created.textContent = text;
  return created;
}

function call(method, path, operation) {
  const section = document.createElement("section");
  section.append(element("h2", `${method.toUpperCase()} ${path}`));
  section.append(element("p", operation.description || operation.summary || ""));
  const content = operation.requestBody?.content?.["application/json"]?.schema?.$ref;
  if (content) section.append(element("p", `Body: ${content.split("/").pop()}`));
  const parameters = (operation.parameters ?? []).map(({ name }) => name);
  if (parameters.length) section.append(element("p", `Parameters: ${parameters.join(", ")}`));
  const list = document.createElement("ul");
  for (const [status, response] of Object.entries(operation.responses)) {
    const schema = response.content?.["application/json"]?.schema?.$ref;
    const schemaName = schema ? ` → ${schema.split("/").pop()}` : "";
    list.append(element("li", `${status}: ${response.description}${schemaName}`));
  }
  section.append(list);
  return section;
}

async function show() {
  const response = await fetch("/openapi.json");
  const document_ = await response.json();
  if (!response.ok) throw new Error(`${document_.title}: ${document_.detail}`);
  const calls = document.getElementById("calls");
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      calls.append(call(method, path, operation));
    }
  }
  const schemas = document.getElementById("schemas");
  for (const [name, schema] of Object.entries(document_.components.schemas)) {
    schemas.append(element("h3", name), element("pre", JSON.stringify(schema, null, 2)));
  }
}

show().catch((error) => {
  document.getElementById("status").textContent = error.message;
});
