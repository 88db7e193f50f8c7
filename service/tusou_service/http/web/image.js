// An image that somebody pastes, drops or picks, made ready to be sent.

import { Problem } from "./api.js";

const TAKEN = ["image/jpeg", "image/png", "image/webp"];
// The model looks at a few hundred pixels: larger files only cost time on the way.
const SEND_AS_IS = 512 * 1024;
const SIDE = 1024;

export function firstImage(transfer) {
  return [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));
}

export async function readImage(file) {
  const blob = await prepared(file).catch(() => { throw new Problem({ code: "bad_image" }); });
  return { base64: await base64(blob), preview: URL.createObjectURL(blob) };
}

async function prepared(file) {
  const bitmap = await createImageBitmap(file); // refuses what is no image
  try {
    if (TAKEN.includes(file.type) && file.size <= SEND_AS_IS && Math.max(bitmap.width, bitmap.height) <= 4096) return file;
    return await redrawn(bitmap);
  } finally {
    bitmap.close();
  }
}

function redrawn(bitmap) {
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff"; // JPEG has no transparency
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((done, fail) => {
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("no image"))), "image/jpeg", 0.9);
  });
}

function base64(blob) {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => fail(new Problem({ code: "bad_image" }));
    reader.readAsDataURL(blob);
  });
}
