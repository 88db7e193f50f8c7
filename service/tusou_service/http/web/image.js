// Prepares an image that was pasted, dropped or picked for upload.

import { Problem } from "./api.js";

const ACCEPTED_TYPES = ["image/jpeg", "image/png", "image/webp"];
// The model sees a few hundred pixels a side: larger files only take longer to upload.
const MAX_UNCHANGED_BYTES = 512 * 1024;
const MAX_UNCHANGED_SIDE = 4096;
const RESIZED_SIDE = 1024;

export function firstImage(transfer) {
  return [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));
}

export async function readImage(file) {
  const blob = await prepareFile(file).catch(() => { throw new Problem({ code: "bad_image" }); });
  return { base64: await toBase64(blob), preview: URL.createObjectURL(blob) };
}

async function prepareFile(file) {
  const bitmap = await createImageBitmap(file); // rejects a file that is not an image
  try {
    const isSmall = file.size <= MAX_UNCHANGED_BYTES && Math.max(bitmap.width, bitmap.height) <= MAX_UNCHANGED_SIDE;
    return ACCEPTED_TYPES.includes(file.type) && isSmall ? file : await toJpeg(bitmap);
  } finally {
    bitmap.close();
  }
}

function toJpeg(bitmap) {
  const scale = Math.min(1, RESIZED_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // JPEG has no transparency
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no image"))), "image/jpeg", 0.9);
  });
}

function toBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Problem({ code: "bad_image" }));
    reader.readAsDataURL(blob);
  });
}
