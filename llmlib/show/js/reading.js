// Where the heads of a model look in a text that is already there.

import { KVCache } from "./model.js";

const MAX_WEIGHTS = 2 ** 24; // attention weights of one answer: 64 MiB

/** What every head takes from where, as `weights` [layer][head][query][key], in the first
 * `count` tokens of a text, after the tokenizer's start. If those are more than the context
 * has, or than what fits into an answer, the end is read. */
export function attention(model, tokenizer, text, count = Infinity) {
  const { n_layer: layers, n_head: heads, block_size } = model.config;
  const most = Math.min(block_size, Math.floor(Math.sqrt(MAX_WEIGHTS / (layers * heads))));
  const read = tokenizer.encode(text);
  const ids = [...tokenizer.startIds, ...read.slice(0, count)].slice(-most);
  const length = ids.length, each = heads * length ** 2;
  const weights = new Float32Array(layers * each);
  const record = (layer, looks) => weights.set(looks, layer * each);
  model.forward(ids, new KVCache(model.config, length), record);
  const pieces = ids.map((id) => tokenizer.piece(id));
  return { ids, pieces, layers, heads, length, weights, more: read.length > count };
}
