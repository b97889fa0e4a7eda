// What is shown while files are uploaded: words, a bar, and Cancel.

import { $, button, el, setText, size } from "./studio_dom.js";

export class UploadBox {
  #parent;
  #words = el("p");
  #bar = el("progress", { max: "1", "aria-label": "Upload" });
  #cancel;

  // id: of an empty element, hidden at first. onCancel(): is called by Cancel.
  constructor(id, onCancel) {
    this.#parent = $(id);
    this.#cancel = button("Cancel", onCancel, { id: `cancel-${id}` });
    this.#parent.append(this.#words, this.#bar, el("div", { class: "buttons" }, this.#cancel));
  }

  show() {
    this.#parent.hidden = false;
    this.#cancel.focus();
  }

  hide() {
    this.#parent.hidden = true;
  }

  // what: the name of the file, or which one it is. sent, total: bytes.
  showSent(what, sent, total) {
    setText(this.#words, `Uploading ${what}: ${size(sent)} of ${size(total)}`);
    this.#bar.value = total ? Math.min(1, sent / total) : 1;
  }

  // For work whose end is not known.
  showBusy(words) {
    setText(this.#words, words);
    this.#bar.removeAttribute("value");
  }
}
