// The texts of the page, in the language chosen before, else in the browser's.

import { itemsAreTexts } from "./state.js";

const STORAGE = "tusou.language";
const languages = { zh: () => import("./zh.js"), en: () => import("./en.js") };

let language = chosen() ?? preferred();
let texts = (await languages[language]()).default;

function chosen() {
  try {
    const saved = localStorage.getItem(STORAGE);
    return saved in languages ? saved : null;
  } catch {
    return null; // storage is off: the choice lasts as long as the page
  }
}

function preferred() {
  const preferences = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return preferences.find((tag) => tag in languages) ?? "en";
}

export function strings() {
  return itemsAreTexts() ? { ...texts, ...texts.texts } : texts;
}

export async function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  try {
    localStorage.setItem(STORAGE, language);
  } catch { /* as above */ }
  texts = (await languages[language]()).default;
}

// Fills every element that names a string in a data attribute.
export function translatePage(root) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = strings()[element.dataset.text];
  for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", strings()[element.dataset.label]);
  for (const element of root.querySelectorAll("[data-title]")) element.title = strings()[element.dataset.title];
  for (const element of root.querySelectorAll("[data-hint]")) element.placeholder = strings()[element.dataset.hint];
}
