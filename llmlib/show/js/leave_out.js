// What a text field offers where its text has characters that a model cannot read.

import { html } from "./dom.js";

/** A button that leaves such characters out of the field, and then calls `onleft`. It
 * hides until it is of use. */
export class LeaveOut {
  constructor(field, onleft) {
    this.field = field;
    this.element = html("button", {
      type: "button", hidden: true,
      onclick: async () => {
        field.value = await this.reader.readable(field.value);
        onleft();
      },
    }, "Leave such characters out");
  }

  hide() {
    this.element.hidden = true;
  }

  /** Shows the button if this reader's model cannot read all of the text. */
  async offer(reader) {
    this.reader = reader;
    this.element.hidden = await reader.readable(this.field.value) === this.field.value;
  }
}
