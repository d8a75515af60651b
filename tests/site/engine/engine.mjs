// Calls functions of the engine: a JSON list of [name, ...arguments] comes in by standard
// input, a list of {value} or {error} goes out.

import { readFileSync } from "node:fs";
import { checkConfig } from "../../../llmlib/show/js/config.js";
import { Context, generate, likeliest, spell, until } from "../../../llmlib/show/js/generation.js";
import { GPT, KVCache } from "../../../llmlib/show/js/model.js";
import { attention } from "../../../llmlib/show/js/reading.js";
import { checkSampling, draw, nextId, probabilities } from "../../../llmlib/show/js/sampling.js";
import { makeTokenizer } from "../../../llmlib/show/js/tokenizers.js";
import { checkDigests, readWeights } from "../../../llmlib/show/js/weights.js";

const json = (path) => JSON.parse(readFileSync(path, "utf8"));

function buffer(path) {
  const data = readFileSync(path);
  return data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
}

const cached = (make) => {
  const made = new Map();
  return (path) => made.get(path) ?? made.set(path, make(path)).get(path);
};

const modelAt = cached((folder) => {
  const config = checkConfig(json(`${folder}/config.json`));
  return new GPT(config, readWeights(buffer(`${folder}/model.safetensors`), config));
});
const contextAt = cached((folder) => new Context(modelAt(folder)));
const tokenizerAt = cached((path) => makeTokenizer(json(path)));
const tokenizerOf = (folder) => tokenizerAt(`${folder}/tokenizer.json`);

const CALLS = {
  /** The logits after each of the parts, of these lengths, in which a text is read. */
  logits(folder, ids, parts) {
    const model = modelAt(folder);
    const cache = new KVCache(model.config, model.config.block_size);
    return parts.flatMap((n) => {
      const part = ids.slice(cache.length, cache.length + n);
      return Array.from(model.forward(part, cache));
    });
  },
  heads(folder, ids) {
    const model = modelAt(folder);
    const looks = [];
    const record = (layer, weights) => looks.push(Array.from(weights));
    model.forward(ids, new KVCache(model.config, ids.length), record);
    return looks.flat();
  },
  /** All texts come from one context, as in the worker. */
  generate: (folder, ids, count, sampling) =>
    Array.from(generate(contextAt(folder), ids, count, sampling)).filter((token) => token),
  write(folder, ids, count, sampling, stops) {
    const tokenizer = tokenizerOf(folder);
    const tokens = generate(contextAt(folder), ids, count, sampling);
    return Array.from(until(stops, spell(tokenizer, tokens))).filter((token) => token);
  },
  spell(path, ids, stops, before = []) {
    const tokens = spell(tokenizerAt(path), ids.map((id) => ({ id })), before);
    return Array.from(until(stops, tokens), (token) => token.text);
  },
  likeliest(folder, ids, sampling, count) {
    const reading = likeliest(contextAt(folder), ids, sampling, count, tokenizerOf(folder));
    for (;;) {
      const { done, value } = reading.next();
      if (done) return value;
    }
  },
  attention(folder, text) {
    const seen = attention(modelAt(folder), tokenizerOf(folder), text);
    return { ...seen, weights: Array.from(seen.weights) };
  },
  tensor: (folder, name) => Array.from(modelAt(folder).tensors[name]),
  open: async (folder) => {
    modelAt(folder);
    tokenizerOf(folder);
    const names = ["config.json", "tokenizer.json", "model.safetensors"];
    const files = names.map((name) => [name, buffer(`${folder}/${name}`)]);
    await checkDigests(Object.fromEntries(files));
  },
  probabilities: (logits, sampling, previous) =>
    Array.from(probabilities(unmasked(logits), checkSampling(sampling), previous)),
  nextId: (logits, sampling, t, previous) => nextId(unmasked(logits), sampling, t, previous),
  checkSampling,
  draws: (seed, n) => Array.from({ length: n }, (_, t) => draw(seed, t)),
  tokenizer(path) {
    const { type, vocabSize, startIds } = tokenizerAt(path);
    const every = Array.from({ length: vocabSize }, (_, id) => id);
    const bytes = every.map((id) => Array.from(tokenizerAt(path).bytes(id)));
    const pieces = every.map((id) => tokenizerAt(path).piece(id));
    return { type, vocabSize, startIds, bytes, pieces };
  },
  encode: (path, text) => tokenizerAt(path).encode(text),
  decode: (path, ids) => tokenizerAt(path).decode(ids),
  readable: (path, text) => tokenizerAt(path).readable(text),
};

const unmasked = (logits) => Float32Array.from(logits, (x) => x ?? -Infinity);

const results = [];
for (const [name, ...values] of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    results.push({ value: await CALLS[name](...values) });
  } catch (error) {
    results.push({ error: error.message });
  }
}
process.stdout.write(JSON.stringify(results));
