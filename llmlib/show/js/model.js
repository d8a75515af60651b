// A GPT in plain JavaScript: token ids in, logits for the next token out.
//
// The same model as llmlib/model/ in Python, part by part; layers.js has the arithmetic.
// An activation is a plain Float32Array of rows, one for each position.
//
// Shapes: T positions read now, S positions so far, C channels, H heads of D channels
// each, V vocabulary.

import { ACTIVATIONS, add, gather, linear, normalise, softmax, waves } from "./layers.js";

const MASKS = { // does a position see the one that lies `back` positions before it?
  causal: () => (back) => back >= 0,
  sliding_window: ({ window }) => (back) => back >= 0 && back < window,
  strided: ({ window, stride }) => (back) =>
    back >= 0 && (back < window || back % stride === 0),
  everything: () => () => true,
};

const LONGEST_NGRAM = 4, PRIME = 0x9e3779b1;

/** What attention has computed for the positions behind it, kept for those to come. A
 * smaller `length` forgets the positions after it. */
export class KVCache {
  constructor({ n_layer, kv_heads, head_size, n_embd }, positions) {
    const head = () => new Float32Array(positions * head_size);
    const layer = () => Array.from({ length: kv_heads }, head);
    this.keys = Array.from({ length: n_layer }, layer);
    this.values = Array.from({ length: n_layer }, layer);
    this.embedded = new Float32Array(positions * n_embd); // what smear looks back on
    this.ids = new Int32Array(positions); // and what n-grams are made of
    this.length = 0;
  }
}

export class GPT {
  /** From a config of `checkConfig` and the tensors of `readWeights`. */
  constructor(config, tensors) {
    this.config = config;
    this.tensors = tensors;
    this.sees = MASKS[config.attention](config);
    this.activation = ACTIVATIONS[config.feed_forward];
    const { block_size, positions, head_size, n_embd, rope_theta } = config;
    if (positions === "rotary") this.waves = waves(block_size, head_size, rope_theta);
    if (positions === "sinusoidal") this.waves = waves(block_size, n_embd, 10000);
  }

  /** Logits for what follows the last of the ids: (V). The ids continue the text that the
   * cache holds, and join it.
   *
   * `record(layer, weights)` is given what each layer's heads look at: (H, T, S). */
  forward(ids, cache, record = null) {
    this.check(ids, cache);
    const { n_layer, n_embd: C } = this.config;
    const x = this.embed(ids, cache);
    for (let i = 0; i < n_layer; i++) {
      const block = `blocks.${i}`;
      add(x, this.attend(i, this.norm(`${block}.attention_norm`, x), cache, record));
      add(x, this.feedForward(block, this.norm(`${block}.feed_forward_norm`, x)));
    }
    cache.length += ids.length;
    const head = this.tensors["lm_head.weight"] ?? this.tensors["embed_tokens.weight"];
    return linear(this.norm("norm", x.subarray(-C)), head, null, C);
  }

  /** The residual stream before the first block: what each token is, and where. */
  embed(ids, cache) {
    const { n_embd: C, embedding_norm, ngram_rows, smear } = this.config;
    const table = this.tensors["embed_tokens.weight"];
    let x = new Float32Array(ids.length * C);
    ids.forEach((id, t) => x.set(table.subarray(id * C, (id + 1) * C), t * C));
    if (ngram_rows) this.addNGrams(x, ids, cache);
    this.addPositions(x, cache.length);
    if (embedding_norm) x = this.norm("embedding_norm", x);
    return smear ? this.smear(x, cache) : x;
  }

  /** The vectors of the last two, three and four tokens, whose rows a hash says. */
  addNGrams(x, ids, cache) {
    const { n_embd: C, ngram_rows } = this.config;
    const table = this.tensors["embed_ngrams.weight"];
    cache.ids.set(ids, cache.length);
    ids.forEach((id, t) => {
      let code = id, factor = 1;
      for (let back = 1; back < LONGEST_NGRAM; back++) {
        factor = Math.imul(factor, PRIME);
        const before = cache.ids[cache.length + t - back] ?? 0;
        code = (code + Math.imul(factor, before)) >>> 0; // of 32 bits, as in Python
        const row = code % ngram_rows;
        add(x.subarray(t * C, (t + 1) * C), table.subarray(row * C, (row + 1) * C));
      }
    });
  }

  addPositions(x, start) {
    const { n_embd: C, positions } = this.config;
    const learned = this.tensors["position_embedding.weight"];
    for (let at = 0; at < x.length; at++) {
      const place = start * C + at;
      if (positions === "learned") x[at] += learned[place];
      if (positions === "sinusoidal") {
        const i = place % C, wave = i % 2 ? this.waves.cos : this.waves.sin;
        x[at] += wave[Math.floor(place / C) * Math.ceil(C / 2) + (i >> 1)];
      }
    }
  }

  /** Each position plus a learned mix, channel by channel, of the few before it. */
  smear(x, cache) {
    const { n_embd: C, smear } = this.config;
    const weight = this.tensors["smear.weight"]; // (smear, C), the nearest first
    cache.embedded.set(x, cache.length * C);
    return x.map((value, at) => {
      const place = cache.length * C + at, i = at % C;
      for (let j = 0, before = place - C; j < smear && before >= 0; j++, before -= C) {
        value += weight[j * C + i] * cache.embedded[before];
      }
      return value;
    });
  }

  /** What each position gathers from those it sees: softmax(Q Kᵀ / √D) V, head by head. */
  attend(layer, x, cache, record) {
    const { n_head: H, kv_heads, head_size: D, n_embd: C } = this.config;
    const name = `blocks.${layer}.attention`;
    const start = cache.length, T = x.length / C, S = start + T;
    const q = this.linear(`${name}.q_proj`, x);
    const k = this.linear(`${name}.k_proj`, x);
    const v = this.linear(`${name}.v_proj`, x);
    if (this.config.positions === "rotary") {
      this.turn(q, H, start);
      this.turn(k, kv_heads, start);
    }
    for (let t = 0; t < T; t++) {
      for (let g = 0; g < kv_heads; g++) {
        const from = (t * kv_heads + g) * D, to = (start + t) * D;
        cache.keys[layer][g].set(k.subarray(from, from + D), to);
        cache.values[layer][g].set(v.subarray(from, from + D), to);
      }
    }
    const gathered = new Float32Array(T * C);
    const looks = new Float32Array(H * T * S);
    for (let h = 0; h < H; h++) {
      const group = Math.floor((h * kv_heads) / H);
      for (let t = 0; t < T; t++) {
        const at = t * C + h * D;
        const keys = cache.keys[layer][group], values = cache.values[layer][group];
        const weights = this.look(q.subarray(at, at + D), keys, start + t, S);
        gather(weights, values, gathered.subarray(at, at + D));
        looks.set(weights, (h * T + t) * S);
      }
    }
    record?.(layer, looks);
    return this.linear(`${name}.o_proj`, gathered);
  }

  /** The weights with which one query sees the keys of S positions. */
  look(query, keys, position, S) {
    const D = query.length;
    const reach = this.sees(-1) ? S : position + 1; // the others need no scores
    const scores = linear(query, keys.subarray(0, reach * D), null, D);
    for (let s = 0; s < reach; s++) {
      scores[s] = this.sees(position - s) ? scores[s] / Math.sqrt(D) : -Infinity;
    }
    return softmax(scores);
  }

  /** Turns the pairs (i, i + D/2) of every head by the angles of their position. */
  turn(x, heads, start) {
    const D = this.config.head_size, half = D / 2;
    for (let at = 0; at < x.length; at += D) {
      const wave = (start + Math.floor(at / (heads * D))) * half;
      for (let i = 0; i < half; i++) {
        const cos = this.waves.cos[wave + i], sin = this.waves.sin[wave + i];
        const a = x[at + i], b = x[at + half + i];
        x[at + i] = a * cos - b * sin;
        x[at + half + i] = b * cos + a * sin;
      }
    }
  }

  feedForward(block, x) {
    const name = `${block}.feed_forward`;
    const up = this.linear(`${name}.up_proj`, x);
    if (this.config.feed_forward === "swiglu") {
      const gate = this.linear(`${name}.gate_proj`, x);
      for (let i = 0; i < up.length; i++) up[i] *= this.activation(gate[i]);
    } else {
      for (let i = 0; i < up.length; i++) up[i] = this.activation(up[i]);
    }
    return this.linear(`${name}.down_proj`, up);
  }

  linear(name, x) {
    const weight = this.tensors[`${name}.weight`], bias = this.tensors[`${name}.bias`];
    const inputs = name.endsWith("down_proj") ? this.config.n_hidden : this.config.n_embd;
    return linear(x, weight, bias, inputs);
  }

  norm(name, x) {
    const { norm, n_embd } = this.config;
    const weight = this.tensors[`${name}.weight`], bias = this.tensors[`${name}.bias`];
    return normalise(x, n_embd, norm === "layernorm", weight, bias);
  }

  check(ids, { length }) {
    const { vocab_size, block_size, attention } = this.config;
    const known = (id) => Number.isInteger(id) && id >= 0 && id < vocab_size;
    const stranger = ids.find((id) => !known(id));
    if (stranger !== undefined) {
      throw new Error(`There is no token ${stranger}: ids run from 0 to ${vocab_size - 1}.`);
    }
    if (length + ids.length > block_size) {
      const full = `${length} + ${ids.length} tokens`;
      throw new Error(`${full} do not fit into the model's context of ${block_size}.`);
    }
    if (attention === "everything" && length) {
      throw new Error("This model sees what comes later, so it cannot read on or write.");
    }
  }
}
