// Bring: a model's file is uploaded, read by the server, and is there to play with.

import { Problem } from "./problem.js";
import { $, announce, button, el, sentence, setText } from "./studio_dom.js";
import { listenForChoice, listenForDrop, refusalOf } from "./studio_files.js";
import { UploadBox } from "./studio_upload_box.js";

export class Bring {
  #api;
  #play;
  #onChange;
  #bytes = Infinity; // of the largest file that the server takes
  #upload = null; // AbortController
  #box = new UploadBox("bring-upload", () => this.#upload?.abort());

  // play(id); onChange(): is called when there are more models.
  constructor(api, play, onChange) {
    [this.#api, this.#play, this.#onChange] = [api, play, onChange];
    listenForDrop(
      $("bring-drop"),
      (files) => this.#take(files),
      (words) => this.#problem(words),
    );
    listenForChoice($("choose-model"), $("model-file"), (files) => this.#take(files));
  }

  // The argument: of /api/studio.
  describe({ bring_endings: endings, limits }) {
    this.#bytes = limits.model_bytes;
    setText(
      $("bring-kinds"),
      endings.length > 1 ? `${endings.slice(0, -1).join(", ")} or ${endings.at(-1)}` : endings.join(),
    );
    $("model-file").accept = endings.join();
  }

  async #take(files) {
    if (this.#upload || !files.length) return;
    const refusal = refusalOf(files, { bytes: this.#bytes });
    if (refusal) return this.#problem(sentence(refusal));
    this.#upload = new AbortController();
    this.#problem("");
    $("brought").hidden = true;
    $("bring-drop").hidden = true;
    this.#showSent(files[0].file, 0);
    this.#box.show();
    const [models, sentences] = [[], []];
    try {
      for (const { file } of files) {
        const path = `api/studio/bring?${new URLSearchParams({ name: file.name })}`;
        const answer = await this.#api.upload(path, file, (sent) => this.#showSent(file, sent), this.#upload.signal);
        models.push(...answer.models);
        sentences.push(answer.sentence);
      }
    } catch (error) {
      if (error instanceof Problem) this.#problem(error.message);
      else if (error.name !== "AbortError") throw error;
    } finally {
      this.#upload = null;
      $("bring-drop").hidden = false;
      this.#box.hide();
    }
    // Several names of one checkpoint are one model.
    if (models.length) this.#showBrought([...new Set(models)], [...new Set(sentences)]);
    else $("choose-model").focus();
    await this.#onChange();
  }

  #showBrought(models, sentences) {
    const play = models.map((id) =>
      button(models.length > 1 ? `Play ${id}` : "Play", () => this.#play(id), { kind: "main" }),
    );
    $("brought").replaceChildren(
      ...sentences.map((words) => el("p", {}, sentence(words))),
      el("div", { class: "buttons" }, ...play),
    );
    $("brought").hidden = false;
    announce(sentences.map(sentence).join(" "));
    play[0].focus();
  }

  #showSent(file, sent) {
    if (sent < file.size) this.#box.showSent(file.name, sent, file.size);
    else this.#box.showBusy(`Reading ${file.name}…`);
  }

  #problem(words) {
    announce(words, $("bring-problem"));
  }
}
