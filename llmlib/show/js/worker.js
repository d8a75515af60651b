// The engine's side of client.js: opens a model in a Web Worker and answers calls. Reading
// and writing take long; they pause every few milliseconds to let other calls in, and end
// when one of them wants the model.

import { checkConfig } from "./config.js";
import { fetchFile, parse } from "./files.js";
import { Context, generate, likeliest, spell, until } from "./generation.js";
import { GPT } from "./model.js";
import { attention } from "./reading.js";
import { makeTokenizer } from "./tokenizers.js";
import { checkDigests, readWeights } from "./weights.js";

const SLICE = 8; // ms of work between two pauses
const TAKES_OVER = new Set(["write", "cancel", "next", "attention"]);

let latest = 0; // number of the last call that took over
let model, tokenizer, context;

const CALLS = {
  async open(source) {
    const files = source.url === undefined ? source : await fetchFiles(source.url);
    if (!files.weights) throw new Error("The model came without its weights.");
    const config = checkConfig(files.config);
    tokenizer = makeTokenizer(files.tokenizer);
    if (tokenizer.vocabSize !== config.vocab_size) {
      throw new Error(
        `The tokenizer has a vocabulary of ${tokenizer.vocabSize}, ` +
          `the model one of ${config.vocab_size}.`,
      );
    }
    model = new GPT(config, readWeights(files.weights, config));
    await checkDigests({ ...files.bytes, "model.safetensors": files.weights });
  },

  async write({ prompt, maxNewTokens, sampling, stop = [] }, number) {
    if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 0)) {
      throw new Error(`The length must be a whole number, at least 0, not ${maxNewTokens}.`);
    }
    if (stop.includes("")) throw new Error("A stop string must not be empty.");
    const ids = idsOf(prompt);
    const tokens = generate(writing(), ids, maxNewTokens, sampling);
    const finished = await stream(until(stop, spell(tokenizer, tokens, ids)), number);
    return { finished, cropped: Math.max(0, ids.length - model.config.block_size) };
  },

  cancel() {},

  async next({ prompt, sampling, count = 10 }, number) {
    const reading = likeliest(writing(), idsOf(prompt), sampling, count, tokenizer);
    for (;;) {
      const { done, value } = reading.next();
      if (done) return value;
      await pause();
      if (latest !== number) return null;
    }
  },

  attention: ({ text, count }) => attention(model, tokenizer, text, count),

  encode({ text }) {
    const ids = tokenizer.encode(text);
    return { ids, pieces: ids.map((id) => tokenizer.piece(id)) };
  },

  readable: ({ text }) => tokenizer.readable(text),
};

self.onmessage = async ({ data: { number, call, values } }) => {
  if (TAKES_OVER.has(call)) latest = number;
  try {
    const result = await CALLS[call](values, number);
    self.postMessage({ number, result }, result?.weights ? [result.weights.buffer] : []);
  } catch (error) {
    self.postMessage({ number, error: error.message });
  }
};

/** Sends the tokens as they come; false if another call took over before the last. */
async function stream(tokens, number) {
  let pieces = [];
  let began = performance.now();
  const send = () => {
    if (pieces.length) self.postMessage({ number, pieces });
    pieces = [];
  };
  for (const token of tokens) {
    if (token) pieces.push(token);
    if (performance.now() - began < SLICE) continue;
    send();
    await pause();
    if (latest !== number) return false;
    began = performance.now();
  }
  send();
  return true;
}

const waiting = []; // whom the next messages of the channel wake
const channel = new MessageChannel();
channel.port1.onmessage = () => waiting.shift()();

/** Lets messages in. A timer would do as well, but browsers make timers wait 4 ms. */
function pause() {
  return new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(null);
  });
}

const writing = () => (context ??= new Context(model));

/** The ids of a prompt (a text, or ids already); what a text starts after for none. */
function idsOf(prompt) {
  const ids = typeof prompt === "string" ? tokenizer.encode(prompt) : prompt;
  return ids.length ? ids : tokenizer.startIds;
}

async function fetchFiles(url) {
  const names = ["config.json", "tokenizer.json", "model.safetensors"];
  const answers = names.map((name) => fetchFile(url, name));
  const [config, tokenizer, weights] = await Promise.all(answers);
  return {
    config: parse("config.json", config),
    tokenizer: parse("tokenizer.json", tokenizer),
    weights,
    bytes: { "config.json": config, "tokenizer.json": tokenizer },
  };
}
