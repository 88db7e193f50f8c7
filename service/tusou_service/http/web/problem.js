// What went wrong, said by its code, and what can be done about it: wait, retry, give a key.

import { useKey } from "./api.js";
import { words } from "./words.js";

const AGAIN = new Set(["overloaded", "rate_limited", "not_ready", "unavailable", "out_of_memory"]);
const BY_HAND = new Set(["network", "deadline_exceeded", "request_timeout", "internal", "other"]);
const MOST_IN_A_ROW = 5; // after that a person decides

const panel = document.getElementById("problem");
let clock = 0;
let inARow = 0;

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

export function clearProblem({ solved = false } = {}) {
  clearInterval(clock);
  if (solved) inARow = 0;
  panel.hidden = true;
  panel.replaceChildren();
}

export function showProblem(problem, retry) {
  clearProblem();
  const [title, detail] = words().codes[problem.code] ?? words().codes.other;
  const said = element("div", "");
  said.setAttribute("role", "alert");
  said.append(element("h2", title), element("p", detail));
  panel.append(said);
  if (problem.code === "unauthorized") panel.append(keyForm(retry));
  else if (AGAIN.has(problem.code)) panel.append(...countdown(problem, retry));
  else if (BY_HAND.has(problem.code)) panel.append(retryButton(retry));
  if (problem.id) {
    const { requestId, status } = words();
    panel.append(element("p", `${problem.code} · ${status(problem.status)} · ${requestId(problem.id)}`, "meta"));
  }
  panel.hidden = false;
}

function retryButton(retry) {
  const button = element("button", words().retry);
  button.type = "button";
  button.addEventListener("click", () => { inARow = 0; clearProblem(); retry(); });
  return button;
}

function countdown(problem, retry) {
  const button = retryButton(retry);
  if (inARow >= MOST_IN_A_ROW) return [button];
  inARow += 1;
  let left = Math.max(1, problem.retryAfter ?? 2 ** inARow);
  const line = element("p", words().retryIn(left), "countdown");
  clock = setInterval(() => {
    left -= 1;
    line.textContent = words().retryIn(left);
    if (left > 0) return;
    clearProblem();
    retry();
  }, 1000);
  return [line, button];
}

function keyForm(retry) {
  const form = document.createElement("form");
  const label = element("label", words().keyLabel);
  const input = document.createElement("input");
  Object.assign(input, { type: "password", id: "key", required: true, autocomplete: "off" });
  label.htmlFor = "key";
  form.append(label, input, element("button", words().keySend), element("p", words().keyNote, "meta"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    useKey(input.value.trim());
    clearProblem();
    retry();
  });
  return form;
}
