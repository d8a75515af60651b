// Writing, as llmlib/generation/ does it: one id after the other through the KV cache, as
// a stream of text. What is still at work yields undefined now and then, so that a caller
// can look around and stop it.

import { KVCache } from "./model.js";
import { checkSampling, nextId, probabilities } from "./sampling.js";

const PORTION = 16; // ids of a prompt that are read at once
const UNFINISHED = "\ufffd"; // what the bytes of half a character decode to

/** One text at a time, and the model's logits for what comes next in it.
 *
 * The prompt keeps its last block_size ids. When the model has read so many, it reads the
 * last block_size / 2 again into an empty cache and goes on. What a new text has in common
 * with the beginning of the one before is not read again. */
export class Context {
  constructor(model) {
    if (model.config.attention === "everything") {
      throw new Error("This model sees what comes later, so it cannot write.");
    }
    this.model = model;
    this.cache = new KVCache(model.config, model.config.block_size);
    this.read = []; // the ids in the cache
  }

  begin(ids) {
    this.ids = ids.slice(-this.model.config.block_size);
    const differs = this.ids.findIndex((id, i) => id !== this.read[i]);
    this.#keep(differs < 0 ? this.ids.length - 1 : Math.min(differs, this.ids.length - 1));
    this.unread = this.ids.slice(this.cache.length);
  }

  append(id) {
    this.ids.push(id);
    this.unread.push(id);
  }

  /** Reads what is new; returns the logits after it. */
  *logits() {
    const { block_size } = this.model.config;
    if (this.cache.length === block_size) {
      this.#keep(0);
      this.unread = this.ids.slice(-Math.max(1, Math.floor(block_size / 2)));
    }
    for (;;) {
      const portion = this.unread.slice(0, PORTION);
      const logits = this.model.forward(portion, this.cache);
      this.read.push(...portion);
      this.unread = this.unread.slice(PORTION);
      if (!this.unread.length) return logits;
      yield;
    }
  }

  #keep(length) {
    this.read.length = this.cache.length = length;
  }
}

/** Goes on from the ids: `count` new ones, each as {id, bits}, bits = -log2 p(id) under the
 * model itself, at temperature 1 and without rules. */
export function* generate(context, ids, count, sampling) {
  const rules = checkSampling(sampling);
  context.begin(ids);
  for (let t = 0; t < count; t++) {
    const logits = yield* context.logits();
    const id = nextId(logits, rules, t, context.ids);
    yield { id, bits: surprisal(logits, id) };
    context.append(id);
  }
}

/** -log2 of the softmax of the logits at `id`. */
function surprisal(logits, id) {
  let largest = -Infinity, sum = 0;
  for (const logit of logits) largest = Math.max(largest, logit);
  for (const logit of logits) sum += Math.exp(logit - largest);
  return (Math.log(sum) + largest - logits[id]) / Math.LN2;
}

/** Gives each token its `text`: the characters that it completes, "" where it completes
 * none. The text is put together in whole characters, of which the ids `before` may have begun
 * the first; half a one at the end is left out. */
export function* spell(tokenizer, tokens, before = []) {
  let pending = before.slice(-3); // ids since every character was last whole
  const said = tokenizer.decode(pending);
  let given = said.length - 1; // how much of their text is out already
  if (!said.endsWith(UNFINISHED)) [pending, given] = [[], 0];
  for (const token of tokens) {
    if (!token) {
      yield;
      continue;
    }
    pending.push(token.id);
    const text = tokenizer.decode(pending);
    const whole = text.length - (text.endsWith(UNFINISHED) ? 1 : 0);
    yield { ...token, text: text.slice(given, whole) };
    given = Math.max(given, whole);
    if (whole === text.length) [pending, given] = [[], 0];
  }
}

/** The tokens up to the stop string that is complete first; of the token in which it
 * begins, what stands before it. Tokens that may belong to one are held back until that
 * is known. */
export function* until(stops, tokens) {
  let held = []; // tokens, and where in `text` each ends
  let text = "";
  for (const token of tokens) {
    if (!token) {
      yield;
      continue;
    }
    text += token.text;
    held.push({ token, end: text.length });
    const cut = firstStop(text, stops);
    if (cut !== undefined) {
      for (const { token, end } of held) {
        const start = end - token.text.length;
        if (start < cut) yield { ...token, text: text.slice(start, Math.min(end, cut)) };
      }
      return;
    }
    const free = text.length - beginningOfStop(text, stops);
    while (held.length && held[0].end <= free) yield held.shift().token;
    const start = held.length ? held[0].end - held[0].token.text.length : text.length;
    for (const each of held) each.end -= start;
    text = text.slice(start);
  }
  for (const { token } of held) yield token;
}

/** Where the stop string begins that is complete first; undefined for none. */
function firstStop(text, stops) {
  const found = stops
    .map((stop) => ({ stop, at: text.indexOf(stop) }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at + a.stop.length - (b.at + b.stop.length) || a.at - b.at);
  return found[0]?.at;
}

/** The length of the longest suffix of the text that is a proper prefix of a stop string. */
function beginningOfStop(text, stops) {
  let longest = 0;
  for (const stop of stops) {
    for (let n = longest + 1; n < stop.length; n++) {
      if (text.endsWith(stop.slice(0, n))) longest = n;
    }
  }
  return longest;
}

/** The likeliest `count` tokens after the ids: p the model's own probability, q what the
 * rules make of it. */
export function* likeliest(context, ids, sampling, count, tokenizer) {
  const rules = checkSampling(sampling);
  context.begin(ids);
  const logits = yield* context.logits();
  const p = probabilities(logits);
  const q = probabilities(logits, rules, context.ids);
  return Array.from(p.keys())
    .sort((a, b) => p[b] - p[a])
    .slice(0, count)
    .map((id) => {
      const [{ text }] = spell(tokenizer, [{ id }], ids);
      return { id, text, piece: tokenizer.piece(id), p: p[id], q: q[id] };
    });
}
