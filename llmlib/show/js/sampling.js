// From logits to a chosen id, as llmlib/generation/sampling.py does it: the rules that
// reshape the distribution, in their order, and the draw. Both write the same text.

const ALLOWED = {
  temperature: [(x) => x >= 0 && x < Infinity, "a finite number, at least 0"],
  top_k: [(x) => Number.isInteger(x) && x >= 1, "a whole number, at least 1"],
  top_p: [(x) => x > 0 && x <= 1, "a number above 0 and at most 1"],
  min_p: [(x) => x >= 0 && x <= 1, "a number from 0 to 1"],
  repetition_penalty: [(x) => x > 0 && x < Infinity, "a finite number above 0"],
  seed: [Number.isInteger, "a whole number"],
};

/** The rules with nothing missing: a temperature, a penalty and a seed (where none is
 * given, a new one), and null for each rule that is off. */
export function checkSampling(sampling = {}) {
  for (const [name, value] of Object.entries(sampling)) {
    const [allowed, words] = ALLOWED[name] ?? [() => false, "left out: it is no rule"];
    if (value !== null && !(typeof value === "number" && allowed(value))) {
      throw new Error(`${name} must be ${words}, not ${value}.`);
    }
  }
  return {
    temperature: sampling.temperature ?? 1,
    top_k: sampling.top_k ?? null,
    top_p: sampling.top_p ?? null,
    min_p: sampling.min_p ?? null,
    repetition_penalty: sampling.repetition_penalty ?? 1,
    seed: sampling.seed ?? Math.floor(Math.random() * 2 ** 32),
  };
}

/** Where the largest value is; of equals the first. */
function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** The logits, those of ids that were there before lowered: positive ones are divided by
 * the penalty, negative ones multiplied, however often an id was there. */
function penalised(logits, { repetition_penalty: penalty }, previous) {
  for (const logit of logits) if (!(logit < Infinity)) throw notFinite();
  if (logits[argmax(logits)] === -Infinity) throw notFinite();
  const lowered = Float64Array.from(logits);
  if (penalty === 1) return lowered;
  for (const id of previous) {
    lowered[id] = logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty;
  }
  return lowered;
}

const notFinite = () =>
  new Error("The model's numbers are not finite: its weights are damaged.");

/** softmax(logits / temperature); its limit at 0 is all on the largest. */
function soften(logits, temperature) {
  const best = argmax(logits);
  const p = new Float64Array(logits.length);
  if (temperature === 0) {
    p[best] = 1;
    return p;
  }
  for (let id = 0; id < p.length; id++) {
    p[id] = Math.exp((logits[id] - logits[best]) / temperature);
  }
  normalise(p);
  return p;
}

// The rules that follow change p in place.

function normalise(p) {
  let sum = 0;
  for (let id = 0; id < p.length; id++) sum += p[id];
  for (let id = 0; id < p.length; id++) p[id] /= sum;
}

/** Those of at least so much; the others 0. */
function keepFrom(border, p) {
  for (let id = 0; id < p.length; id++) if (p[id] < border) p[id] = 0;
  normalise(p);
}

/** The k-th largest: what equals it is kept as well. */
function kthLargest(p, k) {
  let cutoff = p[argmax(p)], large = [];
  while (large.length < Math.min(k, p.length)) { // sort the few that may be it, not all
    cutoff = cutoff > 1e-12 ? cutoff / 16 : 0;
    large = p.filter((value) => value >= cutoff);
  }
  return large.sort()[Math.max(0, large.length - k)];
}

/** The fewest and largest that together reach topP, of equals the lower ids first. */
function keepTopP(p, topP) {
  const cutoff = (1 - topP) / p.length / 2; // all below add up to less than 1 - topP
  const ids = [];
  for (let id = 0; id < p.length; id++) if (p[id] > cutoff) ids.push(id);
  ids.sort((a, b) => p[b] - p[a] || a - b);
  const all = p.slice();
  let sum = 0;
  p.fill(0);
  for (let i = 0; i < ids.length && sum < topP; i++) {
    p[ids[i]] = all[ids[i]];
    sum += all[ids[i]];
  }
  normalise(p);
}

/** The distribution that the next id is drawn from: all rules in order. */
export function probabilities(logits, sampling = checkSampling(), previous = []) {
  const { temperature, top_k, top_p, min_p } = sampling;
  const p = soften(penalised(logits, sampling, previous), temperature);
  if (top_k !== null) keepFrom(kthLargest(p, top_k), p);
  if (top_p !== null && top_p < 1) keepTopP(p, top_p);
  if (min_p !== null) keepFrom(min_p * p[argmax(p)], p);
  return p;
}

/** The t-th number of the generator with this seed, 0 <= u < 1: mulberry32 (Tommy
 * Ettinger, 2017), in 32-bit arithmetic. */
export function draw(seed, t) {
  const a = ((seed | 0) + Math.imul(t + 1, 0x6d2b79f5)) | 0;
  let x = Math.imul(a ^ (a >>> 15), a | 1);
  x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
  return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
}

/** The first id whose cumulative probability exceeds u, never one of probability 0. */
function choose(p, u) {
  let sum = 0, last = 0;
  for (let id = 0; id < p.length; id++) {
    sum += p[id];
    if (p[id] > 0) last = id;
    if (sum > u) return id;
  }
  return last; // where rounding leaves the whole sum at or below u
}

/** The id of draw t. */
export function nextId(logits, sampling, t, previous) {
  if (sampling.temperature === 0) return argmax(penalised(logits, sampling, previous));
  return choose(probabilities(logits, sampling, previous), draw(sampling.seed, t));
}
