// Where a view finds its model: beside a published page, or in the notebook's kernel.

import { fetchFile, parse } from "./files.js";

const PATIENCE = 15_000; // ms that a kernel has for its answer

/** What `openModel` opens: {url} on a page, {config, tokenizer, weights} in a notebook. */
export async function sourceOf(model, name) {
  const url = urlOf(name);
  return url === null ? askKernel(model, name) : { url };
}

/** The content of tokenizer.json in the folder of that name. */
export async function tokenizerOf(model, name) {
  const url = urlOf(name);
  if (url === null) return (await askKernel(model, name)).tokenizer;
  return parse("tokenizer.json", await fetchFile(url, "tokenizer.json"));
}

/** The address of a model's folder; null in a notebook, which has none. */
function urlOf(name) {
  const root = document.documentElement.dataset.content_root;
  if (root === undefined) return null;
  if (location.protocol === "file:") {
    throw new Error(
      "This page was opened as a file, and from a file a browser loads no model: " +
      "open it from a web server (make serve).");
  }
  return new URL(`${root}_static/models/${encodeURIComponent(name)}/`, document.baseURI).href;
}

function askKernel(model, name) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => finish(reject, new Error(
      "The kernel does not answer: run this cell again.")), PATIENCE);
    const listen = (message, buffers) => {
      if (message?.type !== "model" || message.name !== name) return;
      finish(resolve, {
        config: message.config,
        tokenizer: message.tokenizer,
        weights: buffers.length ? bytesOf(buffers[0]) : null,
      });
    };
    const finish = (settle, value) => {
      clearTimeout(timer);
      model.off("msg:custom", listen);
      settle(value);
    };
    model.on("msg:custom", listen);
    model.send({ type: "model", name });
  });
}

/** An ArrayBuffer of its own, whatever view of one a message came with. */
function bytesOf(data) {
  if (data instanceof ArrayBuffer) return data;
  return data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
}
