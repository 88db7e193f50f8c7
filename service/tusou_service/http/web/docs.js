"use strict";

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function call(method, path, operation) {
  const section = document.createElement("section");
  section.append(element("h2", `${method.toUpperCase()} ${path}`));
  section.append(element("p", operation.description || operation.summary || ""));
  const content = operation.requestBody?.content?.["application/json"]?.schema?.$ref;
  if (content) section.append(element("p", `Body: ${content.split("/").pop()}`));
  const list = document.createElement("ul");
  for (const [status, answer] of Object.entries(operation.responses)) {
    const schema = answer.content?.["application/json"]?.schema?.$ref;
    const shape = schema ? ` → ${schema.split("/").pop()}` : "";
    list.append(element("li", `${status}: ${answer.description}${shape}`));
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
  const shapes = document.getElementById("shapes");
  for (const [name, schema] of Object.entries(document_.components.schemas)) {
    shapes.append(element("h3", name), element("pre", JSON.stringify(schema, null, 2)));
  }
}

show().catch((error) => {
  document.getElementById("status").textContent = error.message;
});
