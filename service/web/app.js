"use strict";

const form = document.getElementById("form");
const input = document.getElementById("query");
const status = document.getElementById("status");
const items = document.getElementById("items");

function card(id, score) {
  const item = document.createElement("li");
  const picture = document.createElement("img");
  picture.src = `/items/${encodeURIComponent(id)}/image`;
  picture.alt = `item ${id}`;
  picture.loading = "lazy";
  const caption = document.createElement("span");
  caption.textContent = `${id} · ${score.toFixed(3)}`;
  item.append(picture, caption);
  return item;
}

async function search(query) {
  status.textContent = "…";
  const response = await fetch("/search", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ query, top_k: 24 }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.title}: ${answer.detail}`);
  items.replaceChildren(...answer.item_ids.map((id, i) => card(id, answer.scores[i])));
  status.textContent = `${answer.item_ids.length} · ${answer.took_ms.toFixed(1)} ms`;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  search(input.value).catch((error) => {
    items.replaceChildren();
    status.textContent = error.message;
  });
});
