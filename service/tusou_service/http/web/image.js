// Prepares an image that was pasted, dropped or picked for upload.
//
// Every file is prepared in the same way, so that results do not depend on its size or format:
// upright, on white where it is transparent, and without the metadata of cameras.

import { Problem } from "./api.js";
import { saveImage } from "./saved_images.js";

// The model sees a few hundred pixels a side: larger files only take longer to upload.
const MAX_SIDE = 1024;
const QUALITY = 0.95;

export function firstImage(transfer) {
  return [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));
}

export async function readImage(file) {
  try {
    const blob = await redraw(file);
    return saveImage(blob, await toBase64(blob));
  } catch {
    throw new Problem({ code: "bad_image" });
  }
}

async function redraw(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no image"))), "image/jpeg", QUALITY);
  });
}

function toBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
