// The shape of a GPT, as llmlib.GPTConfig writes it into config.json, checked before it
// is used. Every fault is an Error whose message is a sentence for the reader.

const size = (x) => Number.isSafeInteger(x) && x >= 1;
const count = (x) => Number.isSafeInteger(x) && x >= 0;
const number = (x) => Number.isFinite(x) && x >= 0;
const flag = (x) => typeof x === "boolean";
const optional = (allowed) => (x) => x === null || allowed(x);
const oneOf = (...names) => (x) => names.includes(x);

const FIELDS = { // llmlib.GPTConfig: what each may be, and its default
  vocab_size: [size], block_size: [size],
  n_layer: [size], n_head: [size], n_embd: [size],
  n_kv_head: [optional(size), null],
  n_hidden: [optional(size), null],
  dropout: [number, 0],
  bias: [flag, false],
  positions: [oneOf("learned", "sinusoidal", "rotary", "none"), "learned"],
  rope_theta: [(x) => Number.isFinite(x) && x > 0, 10000],
  norm: [oneOf("layernorm", "rmsnorm"), "layernorm"],
  norm_affine: [flag, true],
  embedding_norm: [flag, false],
  feed_forward: [oneOf("gelu", "gelu_tanh", "relu2", "swiglu"), "gelu"],
  attention: [oneOf("causal", "sliding_window", "strided", "everything"), "causal"],
  window: [count, 0],
  stride: [count, 0],
  ngram_rows: [count, 0],
  smear: [count, 0],
  tie_word_embeddings: [flag, true],
  init: [oneOf("scaled_normal", "zero_output"), "scaled_normal"],
};
const MAX_CACHED = 2 ** 26; // keys, or values: 256 MiB

/** The config with its defaults filled in; an Error unless a page can run it. */
export function checkConfig(values) {
  if (values === null || typeof values !== "object" || Array.isArray(values)) {
    throw new Error("config.json is not the config of a model: it is no object.");
  }
  const config = {};
  for (const [name, [allowed, preset]] of Object.entries(FIELDS)) {
    config[name] = Object.hasOwn(values, name) ? values[name] : preset;
    if (!allowed(config[name])) {
      const value = JSON.stringify(config[name]) ?? "missing";
      throw new Error(`config.json cannot be used here: its ${name} is ${value}.`);
    }
  }
  const unknown = Object.keys(values).find((name) => !Object.hasOwn(FIELDS, name));
  if (unknown !== undefined) {
    throw new Error(`config.json cannot be used here: ${JSON.stringify(unknown)} is unknown.`);
  }
  checkCombinations(config);
  config.kv_heads = config.n_kv_head ?? config.n_head;
  config.head_size = config.n_embd / config.n_head;
  const swiglu = config.feed_forward === "swiglu";
  const hidden = swiglu ? Math.ceil(config.n_embd / 3) * 8 : 4 * config.n_embd;
  config.n_hidden ??= hidden;
  return config;
}

function checkCombinations(config) {
  const { n_embd, n_head, n_kv_head, n_layer, block_size, attention } = config;
  const refuse = (why) => {
    throw new Error(`config.json cannot be used here: ${why}.`);
  };
  if (n_embd % n_head) refuse(`n_embd ${n_embd} is no multiple of n_head ${n_head}`);
  if (n_head % (n_kv_head ?? n_head)) {
    refuse(`n_head ${n_head} is no multiple of n_kv_head ${n_kv_head}`);
  }
  if (config.positions === "rotary" && (n_embd / n_head) % 2) {
    refuse(`rotary positions need an even head size, not ${n_embd / n_head}`);
  }
  const needed = { sliding_window: ["window"], strided: ["window", "stride"] };
  for (const name of ["window", "stride"]) {
    if ((needed[attention] ?? []).includes(name) !== config[name] > 0) {
      refuse(`its attention is ${attention} and its ${name} ${config[name]}`);
    }
  }
  if (n_layer * block_size * n_embd > MAX_CACHED) {
    refuse(`${n_layer} layers of ${block_size} × ${n_embd} are more than a page can hold`);
  }
}
