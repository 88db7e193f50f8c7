// Shows an error by its code, and what the user can do: wait, retry, or enter an API key.

import { setKey } from "./api.js";
import { element } from "./grid.js";
import { strings } from "./strings.js";

const RETRIED_CODES = new Set([
  "overloaded", "rate_limited", "not_ready", "unavailable", "out_of_memory", "index_unavailable", "network",
  "deadline_exceeded", "request_timeout",
]);
const RETRY_BUTTON_CODES = new Set(["internal", "other"]);
const MAX_AUTOMATIC_RETRIES = 5; // then the user decides

export const isRetried = (code) => RETRIED_CODES.has(code);

const panel = document.getElementById("problem");
let timer = 0;
let retries = 0;

export function clearProblem({ solved = false } = {}) {
  clearInterval(timer);
  if (solved) retries = 0;
  panel.hidden = true;
  panel.replaceChildren();
}

export function showProblem(problem, retry) {
  clearProblem();
  const [title, detail] = strings().codes[problem.code] ?? strings().codes.other;
  const alert = element("div");
  alert.setAttribute("role", "alert");
  alert.append(element("h2", title), element("p", detail));
  panel.append(alert);
  if (["unauthorized", "forbidden"].includes(problem.code)) panel.append(keyForm(retry));
  else if (RETRIED_CODES.has(problem.code)) panel.append(...countdown(problem, retry));
  else if (RETRY_BUTTON_CODES.has(problem.code)) panel.append(retryButton(retry));
  if (problem.id) {
    const { requestId, status } = strings();
    panel.append(element("p", `${problem.code} · ${status(problem.status)} · ${requestId(problem.id)}`, "meta"));
  }
  panel.hidden = false;
}

function retryButton(retry) {
  const button = element("button", strings().retry);
  button.type = "button";
  button.addEventListener("click", () => { retries = 0; clearProblem(); retry(); });
  return button;
}

function countdown(problem, retry) {
  const button = retryButton(retry);
  if (retries >= MAX_AUTOMATIC_RETRIES) return [button];
  retries += 1;
  let left = Math.max(1, problem.retryAfter ?? 2 ** retries);
  const line = element("p", strings().retryIn(left), "countdown");
  timer = setInterval(() => {
    left -= 1;
    line.textContent = strings().retryIn(left);
    if (left > 0) return;
    clearProblem();
    retry();
  }, 1000);
  return [line, button];
}

function keyForm(retry) {
  const form = element("form");
  const label = element("label", strings().keyLabel);
  const input = element("input");
  Object.assign(input, { type: "password", id: "key", required: true, autocomplete: "off" });
  label.htmlFor = "key";
  form.append(label, input, element("button", strings().keySend), element("p", strings().keyNote, "meta"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    setKey(input.value.trim());
    clearProblem();
    retry();
  });
  return form;
}
