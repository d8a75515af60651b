// Uses the bundled client as a page does, with Node's threads in the place of a browser's
// Web Workers. Standard input holds the path of the bundle and the address of the models;
// what the client gave goes out.

import { resolveObjectURL } from "node:buffer";
import { readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { Worker as Thread } from "node:worker_threads";

// Where a browser makes a task of every message, Node takes up to a thousand from one
// channel in a row: a worker that sends messages to itself would hear nobody else.
const SHIM = `
  const { parentPort } = require("node:worker_threads");
  globalThis.self = globalThis;
  self.postMessage = (data, transfer) => parentPort.postMessage(data, transfer);
  parentPort.on("message", (data) => self.onmessage({ data }));
  self.MessageChannel = class {
    port1 = {};
    port2 = { postMessage: () => setImmediate(() => this.port1.onmessage()) };
  };
`;

globalThis.Worker = class {
  constructor(address) {
    this.thread = resolveObjectURL(address).text().then((source) => {
      const thread = new Thread(SHIM + source, { eval: true });
      thread.on("message", (data) => this.onmessage({ data }));
      thread.on("error", (error) => this.onerror(error));
      return thread;
    });
  }
  postMessage = async (data) => (await this.thread).postMessage(data);
  terminate = async () => (await this.thread).terminate();
};

const { bundle, models } = JSON.parse(readFileSync(0, "utf8"));
const { openModel } = await import(bundle);
const url = `${models}/stories/`;
const found = {};

const failure = (promise) => promise.then(() => null, (error) => error.message);

const reader = await openModel({ url });

/** What a call of `write` gives: its tokens, the answer, and how often pieces came. */
async function written(values, more = () => {}) {
  const tokens = [];
  const answer = await reader.write(values, (piece) => {
    tokens.push(piece);
    more(tokens);
  });
  return { tokens, text: tokens.map((token) => token.text).join(""), ...answer };
}

const story = { prompt: "Once", maxNewTokens: 300, sampling: { temperature: 0.8, seed: 3 } };
found.story = await written(story);
const { ids } = await reader.encode("Once");
found.fromIds = await written({ ...story, prompt: ids });
found.stopped = await written({ ...story, prompt: "", stop: ["\n\n"] });
found.none = await written({ ...story, maxNewTokens: 0 });
found.long = await written({ ...story, prompt: "Once ".repeat(500), maxNewTokens: 5 });

// A slider that is moved fifty times: the last one counts, and no other goes on.
const endless = { ...story, maxNewTokens: 100_000 };
const late = [];
const moves = [];
for (let i = 0; i < 50; i++) {
  const latest = i;
  const seed = i;
  const values = i < 49 ? endless : { ...story, maxNewTokens: 50 };
  moves.push(written({ ...values, sampling: { seed } }, () => {
    if (moves.length - 1 > latest) late.push(latest);
  }));
  await wait(i % 3 ? 1 : 12);
}
found.moves = (await Promise.all(moves)).map(({ finished }) => finished);
found.last = await moves.at(-1);
found.late = late;

// A long prompt that is edited while it is read: the latest edit alone is answered.
const long = "Once there was a mole who hid. ".repeat(20);
const edits = [1, 2, 3, 4].map((i) => reader.next({ prompt: long + i, sampling: {}, count: 1 }));
found.edits = (await Promise.all(edits)).map((choices) => choices?.length ?? null);

/** Whether a writing goes on to its end where something else is asked meanwhile. */
async function meanwhile(ask, maxNewTokens = 100) {
  let asked;
  const { finished } = await written({ ...story, maxNewTokens }, () => (asked ??= ask()));
  return { answer: await asked, finished };
}

found.meanwhile = {
  cancel: await meanwhile(() => reader.cancel() ?? true, 100_000),
  next: await meanwhile(() => reader.next({ prompt: "Once upon", count: 3 }), 100_000),
  attention: await meanwhile(async () => {
    const seen = await reader.attention("Once");
    return [seen.weights.constructor.name, seen.weights.length, seen.pieces];
  }, 100_000),
  encode: await meanwhile(() => reader.encode("né")),
  readable: await meanwhile(() => reader.readable("a\ud83d")),
};
found.again = await written(story);

found.faults = {
  missing: await failure(openModel({ url: `${models}/nothing/` })),
  truncated: await failure(openModel({ url: `${models}/truncated/` })),
  page: await failure(openModel({ url: `${models}/page-instead/` })),
  refused: await failure(openModel({ url: "http://127.0.0.1:1/" })),
  temperature: await failure(reader.write({ ...story, sampling: { temperature: -1 } })),
  length: await failure(reader.write({ ...story, maxNewTokens: -1 })),
  stop: await failure(reader.write({ ...story, stop: [""] })),
  surrogate: await failure(reader.next({ prompt: "\ud83d" })),
  id: await failure(reader.next({ prompt: [9999] })),
};

const files = ["config.json", "tokenizer.json", "model.safetensors"];
const [settings, tokenizer, weights] = await Promise.all(
  files.map(async (name) => (await fetch(`${models}/stories/${name}`)).arrayBuffer()),
);
const parsed = (data) => JSON.parse(new TextDecoder().decode(data));
const notebook = { config: parsed(settings), tokenizer: parsed(tokenizer), weights };
const second = await openModel(notebook);
found.second = await second.next({ prompt: "Once upon", count: 3 });
found.faults.empty = await failure(openModel({ ...notebook, weights: null }));
found.kept = weights.byteLength; // the caller's buffer is still there

const last = written({ ...endless });
await wait(30);
reader.close();
found.closed = (await last).finished;
second.close();
process.stdout.write(JSON.stringify(found));
