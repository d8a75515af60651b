// What a model makes of a text that is already there: how surprised it is by each token,
// and where its heads look.

import { surprisal } from "./generation.js";
import { KVCache } from "./model.js";

const MAX_WEIGHTS = 2 ** 24; // attention weights of one answer: 64 MiB

/** The bits of each token of a text that is read after the tokenizer's start: -log2 p.
 *
 * A text longer than the context is read in windows that advance by half of it, so that
 * every later token comes after at least half a context, as in llmlib.token_bits. */
export function surprisals(model, tokenizer, text) {
  const { block_size, vocab_size } = model.config;
  const ids = tokenizer.encode(text);
  const all = [...tokenizer.startIds, ...ids];
  const length = ids.length && all.length - 1; // positions that are read
  const bits = [];
  let stop = tokenizer.startIds.length - 1; // up to where tokens are scored
  for (let start = 0; stop < length; start += Math.max(1, Math.floor(block_size / 2))) {
    const end = Math.min(start + block_size, length);
    if (end <= stop) continue;
    const window = all.slice(start, end);
    const cache = new KVCache(model.config, window.length);
    const logits = model.forward(window, cache, { first: stop - start });
    for (let t = stop; t < end; t++) {
      bits.push(surprisal(logits, all[t + 1], (t - stop) * vocab_size, vocab_size));
    }
    stop = end;
  }
  return { ids, pieces: ids.map((id) => tokenizer.piece(id)), bits };
}

/** What every head takes from where, as `weights` [layer][head][query][key]. Of a text that
 * is longer than the context, or than what fits into an answer, the end is read. */
export function attention(model, tokenizer, text, withStart) {
  const { n_layer: layers, n_head: heads, block_size } = model.config;
  const most = Math.min(block_size, Math.floor(Math.sqrt(MAX_WEIGHTS / (layers * heads))));
  const start = withStart ? tokenizer.startIds : [];
  const ids = [...start, ...tokenizer.encode(text)].slice(-most);
  const length = ids.length, each = heads * length ** 2;
  const weights = new Float32Array(layers * each);
  const record = (layer, looks) => weights.set(looks, layer * each);
  if (length) model.forward(ids, new KVCache(model.config, length), { record });
  const pieces = ids.map((id) => tokenizer.piece(id));
  return { ids, pieces, layers, heads, length, weights };
}
