// Losses against steps, over a floor that nothing can go below; and, for a curve with
// samples, a time machine: the text that the model wrote at each moment.

import { html, newId, slider } from "./dom.js";
import { Plot } from "./plot.js";
import { show, titleOf } from "./view.js";

export function render({ model, el }) {
  return show(new LossCurve(model), el);
}

class LossCurve {
  constructor(model) {
    for (const name of ["curves", "floor", "baselines", "samples", "scale", "x", "unit"]) {
      this[name] = model.get(name);
    }
    this.status = html("p", { id: newId(), class: "status", role: "status" },
      "Point at the curves, or use the arrow keys on them, for their values.");
    this.plot = new Plot({
      label: `Losses by ${this.x}: the arrow keys read them`, describedBy: this.status.id,
      onread: (x) => this.read(x),
    });
    this.places = [...new Set(this.curves.flatMap(({ points }) => points.map(([x]) => x)))]
      .sort((a, b) => a - b);
    this.resizer = new ResizeObserver(() => this.draw());
    this.element = html("div", { class: "llmlib-view loss" },
      titleOf(model),
      this.plot.element, html("div", { class: "under" }, this.status),
      ...Object.keys(this.samples).map((name) => this.#timeMachine(name)));
  }

  open() {
    this.resizer.observe(this.plot.element);
    this.draw();
  }

  close() {
    this.resizer.disconnect();
  }

  draw() {
    this.plot.draw(this);
    if (this.plot.at !== undefined) this.read(this.plot.at); // the mark, once more
  }

  /** The values of all curves where they have a point nearest to `x`. */
  read(x) {
    const at = this.places.reduce((a, b) => (Math.abs(b - x) < Math.abs(a - x) ? b : a));
    const parts = this.curves.map(({ name, points }) => {
      const [, y] = nearest(points, at);
      const above = this.floor ? ` (${percentAbove(y, this.floor)} the floor)` : "";
      return `${name} ${y.toPrecision(3)}${above}`;
    });
    this.status.textContent = `${this.x} ${format(at)}: ${parts.join("; ")}`;
    this.plot.mark(at, this.curves.map(({ points }) => nearest(points, at)));
    return at;
  }

  /** A slider over the moments of which a sample is kept, and the sample. */
  #timeMachine(name) {
    const samples = this.samples[name];
    const text = html("blockquote", { "aria-live": "polite" });
    const show = (step) => {
      text.textContent = samples.find(([at]) => at === step)[1];
    };
    const steps = samples.map(([step]) => step);
    const machine = slider({
      label: `what ${name} wrote at ${this.x}`, stops: steps, value: steps.at(-1), show: format,
      oninput: (step) => {
        show(step);
        this.read(step);
      },
    });
    show(steps.at(-1));
    return html("div", { class: "machine" }, machine, text);
  }
}

const format = (x) => x.toLocaleString("en", { maximumFractionDigits: 2 });

const nearest = (points, x) =>
  points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));

function percentAbove(value, floor) {
  const share = (100 * (value - floor)) / floor;
  const size = Math.abs(share);
  return `${size.toFixed(size < 10 ? 1 : 0)}% ${share < 0 ? "below" : "above"}`;
}
