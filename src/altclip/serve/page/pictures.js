// Pictures of the person's own (chosen, dropped, pasted), made small before they are sent; and photographs of the
// server shown in <img>, with the key where it asks for one.

import { Failure, blob, key } from "./api.js";

const SIDE = 1024; // pixels of the longer side; models look at far fewer
const MOST_BYTES = 20 * 2 ** 20; // of a file that the browser cannot decode, and the server may
const AT_ONCE = 6;

// {value: a data URI for the server, url: for <img>, empty where the browser cannot show it}
export async function prepared(file) {
  const small = await shrunk(file).catch(() => null);
  if (!small && file.size > MOST_BYTES) throw new Failure("refused", { code: "too_large" });
  return { value: await dataUri(small ?? file), url: small ? URL.createObjectURL(small) : "" };
}

async function shrunk(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((done, failed) => canvas.toBlob((made) => (made ? done(made) : failed()), "image/jpeg", 0.92));
}

export function dataUri(data) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    const kind = /^image\/[\w.+-]+$/.test(data.type) ? data.type : "image/unknown";
    reader.addEventListener("load", () => done(`data:${kind};base64,${reader.result.split(",", 2)[1] ?? ""}`));
    reader.addEventListener("error", () => failed(new Failure("refused", { code: "invalid_image" })));
    reader.readAsDataURL(data);
  });
}

// Not every system has a type for every kind of picture; then the name counts.
const isImage = ({ type, name }) => (type ? /^image\//.test(type) : /\.(hei[cf]|avif|jp2|tiff?)$/i.test(name));

export const imagesOf = (transfer) => [...(transfer?.files ?? [])].filter(isImage);

const waiting = [];
let running = 0;

// Shows a photograph of the server. Resolves when it is there; rejects where it cannot be shown.
export function show(img, path, signal) {
  return key.get() ? shownWithKey(img, path, signal) : loaded(img, path);
}

async function shownWithKey(img, path, signal) {
  if (running >= AT_ONCE) await new Promise((go) => waiting.push(go));
  running += 1;
  try {
    signal?.throwIfAborted();
    const url = URL.createObjectURL(await blob(path, { signal }));
    await loaded(img, url).finally(() => URL.revokeObjectURL(url));
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

function loaded(img, source) {
  return new Promise((done, failed) => {
    img.addEventListener("load", done, { once: true });
    img.addEventListener("error", () => failed(new Failure("missing")), { once: true });
    img.src = source;
  });
}
