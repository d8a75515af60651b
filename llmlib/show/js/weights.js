// Reading model.safetensors: a length (8 bytes, little-endian), a JSON header of that
// length that says where each tensor lies, and the numbers of all tensors. Every fault is
// an Error whose message is a sentence for the reader.

import { checkConfig } from "./config.js";

const MAX_HEADER = 2 ** 22; // bytes: some 30,000 tensors, as in llmlib

/** The shape of every tensor that a model of this config is made of, by name. */
export function tensorShapes(config) {
  const { n_embd: C, n_hidden: F, vocab_size: V, bias } = config;
  const shapes = { "embed_tokens.weight": [V, C] };
  const linear = (name, outputs, inputs) => {
    shapes[`${name}.weight`] = [outputs, inputs];
    if (bias) shapes[`${name}.bias`] = [outputs];
  };
  const norm = (name) => {
    if (config.norm_affine) shapes[`${name}.weight`] = [C];
    if (config.norm_affine && bias && config.norm === "layernorm") {
      shapes[`${name}.bias`] = [C];
    }
  };
  if (config.ngram_rows) shapes["embed_ngrams.weight"] = [config.ngram_rows, C];
  if (config.positions === "learned") {
    shapes["position_embedding.weight"] = [config.block_size, C];
  }
  if (config.embedding_norm) norm("embedding_norm");
  if (config.smear) shapes["smear.weight"] = [config.smear, C];
  for (let i = 0; i < config.n_layer; i++) {
    const block = `blocks.${i}`;
    norm(`${block}.attention_norm`);
    linear(`${block}.attention.q_proj`, C, C);
    linear(`${block}.attention.k_proj`, config.kv_heads * config.head_size, C);
    linear(`${block}.attention.v_proj`, config.kv_heads * config.head_size, C);
    linear(`${block}.attention.o_proj`, C, C);
    norm(`${block}.feed_forward_norm`);
    if (config.feed_forward === "swiglu") linear(`${block}.feed_forward.gate_proj`, F, C);
    linear(`${block}.feed_forward.up_proj`, F, C);
    linear(`${block}.feed_forward.down_proj`, C, F);
  }
  norm("norm");
  if (!config.tie_word_embeddings) shapes["lm_head.weight"] = [V, C];
  return shapes;
}

/** The tensors of the file as Float32Arrays by name: all that the config asks for, and
 * no others. */
export function readWeights(buffer, config) {
  const { header, numbers } = readHeader(buffer);
  checkSameConfig(header.__metadata__?.config, config);
  const shapes = tensorShapes(config);
  const damaged = (why) => new Error(`model.safetensors does not fit config.json: ${why}.`);
  for (const name of Object.keys(header)) {
    if (name !== "__metadata__" && !Object.hasOwn(shapes, name)) {
      throw damaged(`it has ${JSON.stringify(name)}, which the model lacks`);
    }
  }
  const tensors = {};
  for (const [name, shape] of Object.entries(shapes)) {
    if (!Object.hasOwn(header, name)) throw damaged(`it lacks ${name}`);
    const found = JSON.stringify(header[name]?.shape);
    if (found !== JSON.stringify(shape)) {
      throw damaged(`${name} is ${found}, not ${JSON.stringify(shape)}`);
    }
    tensors[name] = readTensor(name, header[name], numbers);
  }
  return tensors;
}

/** An Error unless the files, by name, are those that were saved together: the SHA-256 of
 * each, and of the tensors, stands in the header. A page that came over plain http cannot
 * compute it, and skips this. */
export async function checkDigests(files) {
  const { header, numbers } = readHeader(files["model.safetensors"]);
  const digests = header.__metadata__ ?? {};
  const { subtle } = globalThis.crypto ?? {};
  if (!subtle) return;
  for (const [name, data] of Object.entries({ ...files, "model.safetensors": numbers })) {
    const digest = new Uint8Array(await subtle.digest("SHA-256", data));
    const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (name in digests && digests[name] !== found) {
      throw new Error(`${name} is damaged, or from another save than the rest.`);
    }
  }
}

function readHeader(buffer) {
  const fault = (why) => new Error(`model.safetensors is damaged or something else: ${why}.`);
  const total = buffer.byteLength;
  if (total < 8) throw fault(`it has ${total} bytes`);
  const length = new DataView(buffer).getBigUint64(0, true);
  if (length > total - 8) {
    throw fault(`its header would be ${length} bytes long, and the whole file has ${total}`);
  }
  if (length > MAX_HEADER) throw fault(`its header of ${length} bytes is too long`);
  const end = 8 + Number(length);
  let header;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(buffer.slice(8, end));
    header = JSON.parse(text);
  } catch {
    throw fault("its header is no JSON");
  }
  if (header === null || typeof header !== "object" || Array.isArray(header)) {
    throw fault("its header is no JSON object");
  }
  return { header, numbers: buffer.slice(end) };
}

/** An Error unless the weights were saved with this very config. */
function checkSameConfig(text, config) {
  if (text === undefined) return; // not from llmlib
  let saved;
  try {
    saved = checkConfig(JSON.parse(text));
  } catch {
    throw new Error("model.safetensors is damaged: the config in it cannot be read.");
  }
  for (const [name, value] of Object.entries(saved)) {
    if (config[name] !== value) {
      throw new Error(
        `The files do not belong together: config.json says ${name} = ${config[name]}, ` +
          `and model.safetensors was saved with ${value}.`,
      );
    }
  }
}

function readTensor(name, { dtype, shape, data_offsets }, numbers) {
  const fault = (why) => new Error(`model.safetensors is damaged: ${name} ${why}.`);
  const width = { F16: 2, F32: 4 }[dtype];
  if (!width) {
    throw new Error(`model.safetensors holds ${name} as ${dtype}; a page reads F16 and F32.`);
  }
  const [start, end] = Array.isArray(data_offsets) ? data_offsets : [];
  const length = shape.reduce((product, n) => product * n, 1) * width;
  if (!Number.isSafeInteger(start) || start < 0 || end - start !== length) {
    throw fault(`needs ${length} bytes and has those from ${start} to ${end}`);
  }
  if (end > numbers.byteLength) {
    throw fault(`ends at byte ${end}, and the file already at ${numbers.byteLength}`);
  }
  const bytes = numbers.slice(start, end);
  return width === 4 ? new Float32Array(bytes) : widen(new Uint16Array(bytes));
}

/** Half precision to single. A half is a sign, 5 bits of exponent and 10 of mantissa; in
 * the places where a single has these, and with an exponent that counts from -127 and not
 * from -15, it is 2^112 times too small. */
function widen(halves) {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = (halves[i] & 0x7fff) << 13;
  const singles = new Float32Array(bits.buffer);
  for (let i = 0; i < halves.length; i++) {
    const finite = (halves[i] & 0x7c00) !== 0x7c00;
    const magnitude = finite ? singles[i] * 2 ** 112 : Infinity;
    singles[i] = halves[i] & 0x8000 ? -magnitude : magnitude;
  }
  return singles;
}
