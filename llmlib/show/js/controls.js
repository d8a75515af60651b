// The dials of sampling: one slider a rule, a seed, a length.

import { html, newId, range, slider } from "./dom.js";

const off = (value) => (value === null ? "off" : String(value));
const RULES = [
  { name: "temperature", label: "temperature", stops: range(0, 2, 0.05) },
  { name: "top_k", label: "top-k", show: off,
    stops: [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100, 200, null] },
  { name: "top_p", label: "top-p", show: off, stops: [...range(0.05, 0.95, 0.05), null] },
  { name: "min_p", label: "min-p", show: off, stops: [null, ...range(0.01, 0.5, 0.01)] },
  { name: "repetition_penalty", label: "repetition penalty", stops: range(1, 2, 0.05),
    show: (value) => (value === 1 ? "off" : String(value)) },
];
const LENGTHS = [0, 1, 5, 10, 20, 40, 60, 80, 100, 120, 160, 200, 300, 400, 600, 800];

/** The controls as one element; `sampling` and `length` hold what they say. */
export class Controls {
  constructor({ sampling, length, onchange }) {
    this.sampling = { ...sampling };
    this.length = length;
    const change = (values) => {
      Object.assign(this.sampling, values);
      onchange();
    };
    const rules = RULES.map(({ name, ...rule }) => slider({
      ...rule, value: sampling[name], oninput: (value) => change({ [name]: value }),
    }));
    const howLong = slider({
      label: "length, in tokens", stops: LENGTHS, value: length,
      oninput: (value) => {
        this.length = value;
        onchange();
      },
    });
    this.element = html("div", { class: "controls" }, ...rules, howLong,
      seedInput(sampling.seed, (seed) => change({ seed })));
  }
}

function seedInput(seed, onseed) {
  const input = html("input", {
    type: "number", id: newId(), min: 0, max: 2 ** 32 - 1, step: 1, value: seed,
    oninput: () => {
      if (input.value !== "" && input.validity.valid) onseed(Number(input.value));
    },
  });
  const draw = () => {
    input.value = Math.floor(Math.random() * 10_000);
    onseed(Number(input.value));
  };
  return html("div", { class: "seed" },
    html("label", { for: input.id }, "seed"), input,
    html("button", { type: "button", onclick: draw }, "new seed"));
}
