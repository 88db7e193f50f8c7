// Images that are pasted, dropped or picked, and addresses pasted in their place.

import { firstImage } from "./image.js";
import { byId } from "./state.js";

const ADDRESS = /^(https?:\/\/|data:image\/)\S+$/i;
const ITEM_IMAGE = /^\/items\/(.+)\/image$/;

export const isAddress = (text) => ADDRESS.test(text.trim());

// Returns the id of an item whose image has this address on this service, else "".
function itemOf(address) {
  const url = URL.canParse(address) ? new URL(address) : null;
  const [, id] = (url?.origin === location.origin && ITEM_IMAGE.exec(url.pathname)) || [];
  return id ? decodeURIComponent(id) : "";
}

const carries = (event, type) => Boolean(event.dataTransfer?.types.includes(type));
const isDrag = (event) => carries(event, "Files") || carries(event, "text/uri-list");

// Calls onImage(file), undefined for a file that is not an image, onItem(id) or onAddress().
export function listenForImages({ onImage, onItem, onAddress }) {
  const takeAddress = (address) => {
    const id = itemOf(address);
    if (id) onItem(id);
    else onAddress();
  };
  byId("pick").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", () => {
    const [file] = byId("file").files;
    byId("file").value = "";
    if (file) onImage(file);
  });
  document.addEventListener("paste", (event) => {
    const file = firstImage(event.clipboardData);
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (!file && !isAddress(text)) return;
    event.preventDefault();
    if (file) onImage(file);
    else takeAddress(text.trim());
  });
  document.addEventListener("dragover", (event) => {
    if (!isDrag(event)) return;
    event.preventDefault();
    byId("drop").hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) byId("drop").hidden = true;
  });
  document.addEventListener("drop", (event) => {
    byId("drop").hidden = true;
    if (!isDrag(event)) return;
    event.preventDefault();
    const file = firstImage(event.dataTransfer);
    const [address = ""] = event.dataTransfer.getData("text/uri-list").split(/\r?\n/);
    if (itemOf(address)) onItem(itemOf(address));
    else if (file || !address) onImage(file);
    else onAddress();
  });
}
