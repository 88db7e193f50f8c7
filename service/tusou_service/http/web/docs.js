// The page of the API: reads /openapi.json and shows every call.

import { anchor, describe } from "./docs.call.js";
import { element, fieldTable, objectRows } from "./docs.schema.js";

const KEY_STORAGE = "tusou.key"; // shared with the search page
const keyInput = document.getElementById("key");
const status = document.getElementById("status");
const METHODS = new Set(["get", "post"]);

try {
  keyInput.value = sessionStorage.getItem(KEY_STORAGE) ?? "";
} catch { /* storage is off: the key lasts as long as the page */ }

const key = () => keyInput.value.trim();

async function load() {
  status.textContent = "Loading…";
  const response = await fetch("/openapi.json", { headers: key() ? { Authorization: `Bearer ${key()}` } : {} });
  const document_ = await response.json();
  if (response.status === 401) {
    status.textContent = "This service has API keys: enter one to read about its calls.";
    keyInput.focus();
    return;
  }
  if (!response.ok) throw new Error(`${document_.title}: ${document_.detail}`);
  show(document_);
  status.textContent = "";
}

function show(document_) {
  const calls = Object.entries(document_.paths).flatMap(([path, operations]) => (
    Object.entries(operations).filter(([method]) => METHODS.has(method)).map(([method, operation]) => [method, path, operation])
  ));
  document.getElementById("contents").replaceChildren(...calls.map(([method, path]) => {
    const link = element("a", `${method.toUpperCase()} ${path}`);
    link.href = `#${anchor(method, path)}`;
    return link;
  }));
  document.getElementById("calls").replaceChildren(
    ...calls.map(([method, path, operation]) => describe(document_, method, path, operation, key)),
  );
  const objects = Object.entries(document_.components.schemas).flatMap(([name, schema]) => {
    const heading = element("h3", name);
    heading.id = `object-${name}`;
    return [heading, element("p", schema.description ?? ""), fieldTable(objectRows(schema, false), `Fields of ${name}`)];
  });
  const schemas = document.getElementById("schemas");
  schemas.replaceChildren(element("h2", "Objects"), ...objects);
  schemas.hidden = false;
}

function start() {
  load().catch((error) => {
    status.textContent = `The description could not be loaded: ${error.message}`;
  });
}

document.getElementById("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  try {
    sessionStorage.setItem(KEY_STORAGE, key());
  } catch { /* as above */ }
  start();
});
start();
