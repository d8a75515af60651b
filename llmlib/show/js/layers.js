// The arithmetic of a GPT. An activation is a plain Float32Array of rows, one for each
// position; the products of `linear` are summed in double precision.

/** W x + b for each row of x. Four rows of W at a time: each number of x is fetched once
 * for four products, and no sum waits for another. */
export function linear(x, weight, bias, inputs) {
  const outputs = weight.length / inputs;
  const y = new Float32Array((x.length / inputs) * outputs);
  for (let from = 0, to = 0; from < x.length; from += inputs, to += outputs) {
    let row = 0;
    for (; row + 3 < outputs; row += 4) {
      const w0 = row * inputs, w1 = w0 + inputs, w2 = w1 + inputs, w3 = w2 + inputs;
      let y0 = 0, y1 = 0, y2 = 0, y3 = 0;
      for (let i = 0; i < inputs; i++) {
        const xi = x[from + i];
        y0 += xi * weight[w0 + i];
        y1 += xi * weight[w1 + i];
        y2 += xi * weight[w2 + i];
        y3 += xi * weight[w3 + i];
      }
      y[to + row] = y0;
      y[to + row + 1] = y1;
      y[to + row + 2] = y2;
      y[to + row + 3] = y3;
    }
    for (; row < outputs; row++) {
      let sum = 0;
      for (let i = 0; i < inputs; i++) sum += x[from + i] * weight[row * inputs + i];
      y[to + row] = sum;
    }
    if (bias) for (row = 0; row < outputs; row++) y[to + row] += bias[row];
  }
  return y;
}

/** Each row with mean square 1 (and, centred, mean 0), then scaled and shifted. */
export function normalise(x, channels, centred, weight, bias) {
  const y = new Float32Array(x.length);
  for (let from = 0; from < x.length; from += channels) {
    let mean = 0, square = 0;
    if (centred) for (let i = 0; i < channels; i++) mean += x[from + i] / channels;
    for (let i = 0; i < channels; i++) square += (x[from + i] - mean) ** 2 / channels;
    const scale = 1 / Math.sqrt(square + 1e-5);
    for (let i = 0; i < channels; i++) {
      y[from + i] = (x[from + i] - mean) * scale * (weight ? weight[i] : 1);
      if (bias) y[from + i] += bias[i];
    }
  }
  return y;
}

/** Scores become weights that add up to 1, in place. */
export function softmax(scores) {
  let largest = -Infinity, sum = 0;
  for (const score of scores) largest = Math.max(largest, score);
  for (let i = 0; i < scores.length; i++) {
    sum += scores[i] = Math.exp(scores[i] - largest);
  }
  for (let i = 0; i < scores.length; i++) scores[i] /= sum;
  return scores;
}

/** Adds to y the rows of `values`, each times its weight. */
export function gather(weights, values, y) {
  for (let s = 0; s < weights.length; s++) {
    for (let i = 0; i < y.length; i++) y[i] += weights[s] * values[s * y.length + i];
  }
}

/** Adds y to x, in place. */
export function add(x, y) {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
}

export const ACTIVATIONS = {
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x) => (x / 2) * (1 + Math.tanh(0.7978845608 * (x + 0.044715 * x * x * x))),
  relu2: (x) => (x > 0 ? x * x : 0),
  swiglu: (x) => x / (1 + Math.exp(-x)), // of the gate, which then multiplies
};

/** The error function, to 1.5e-7 (Abramowitz & Stegun 1964, formula 7.1.26). */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = (((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t;
  return Math.sign(x) * (1 - (series + 0.254829592) * t * Math.exp(-x * x));
}

/** cos and sin of t / theta^(2i/n) for every position t and pair i of n channels. */
export function waves(positions, n, theta) {
  const pairs = Math.ceil(n / 2), angles = new Float32Array(positions * pairs);
  for (let at = 0; at < angles.length; at++) {
    angles[at] = Math.floor(at / pairs) * theta ** ((-2 * (at % pairs)) / n);
  }
  return { cos: angles.map(Math.cos), sin: angles.map(Math.sin) };
}
