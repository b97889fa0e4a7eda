// Delete, which asks and names the files, and Undo.

import { Problem } from "./problem.js";
import { closeButton, dialogProblem, openDialog } from "./studio_dialog.js";
import { $, announce, button, count, el, sentence, setText, showAgain, size } from "./studio_dom.js";

const MOST_NAMES = 12; // of files in the question
const AFTER = { learn: "runs-title", play: "show-play", bring: "models-title" }; // section -> what gets the focus

export class Trash {
  #api;
  #onChange;
  #last = null; // what Undo brings back: an entry of the trash

  // onChange(): is called when runs or models have come or gone.
  constructor(api, onChange) {
    this.#api = api;
    this.#onChange = onChange;
    $("undo-button").addEventListener("click", () => this.#undo(this.#last, $("undo-words")));
    $("dismiss").addEventListener("click", () => this.#show(null));
  }

  async askRun({ id, name }) {
    await this.#ask(name, `api/studio/runs/${id}/files`, `api/studio/runs/${id}/delete`, {});
  }

  async askModel(model) {
    await this.#ask(model, `api/studio/models/files?${new URLSearchParams({ model })}`, "api/studio/models/delete", {
      model,
    });
  }

  async #ask(name, filesPath, deletePath, body) {
    const problem = dialogProblem();
    const { files, bytes } = await this.#api.get(filesPath);
    const names = files.slice(0, MOST_NAMES).map((file) => el("li", {}, file));
    if (files.length > MOST_NAMES) names.push(el("li", {}, `and ${count(files.length - MOST_NAMES, "more", "more")}`));
    const what = `${count(files.length, "file")}, ${size(bytes)},`;
    const back = `Undo brings ${files.length === 1 ? "it" : "them"} back.`;
    const close = openDialog(`Delete ${name}?`, [
      el("p", {}, `This moves ${what} to the folder trash. ${back}`),
      el("ul", { class: "names" }, ...names),
      problem,
      el("div", { class: "buttons" }, button("Delete", remove, { kind: "danger" }), closeButton("Keep")),
    ]);
    const show = (entry) => this.#show(entry);
    const [api, onChange] = [this.#api, this.#onChange];

    async function remove() {
      try {
        const { trash, sentence: words } = await api.post(deletePath, body);
        close();
        show({ trash, words: `Deleted ${name}. ${sentence(words)}` });
        await onChange();
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        announce(error.message, problem);
      }
    }
  }

  // The list of all that was deleted, each with Undo.
  async showList() {
    const answer = await this.#api.changed("api/studio/trash");
    if (!answer) return;
    $("trash").hidden = !answer.trash.length;
    // Another page may have brought it back.
    if (this.#last && !answer.trash.some(({ trash }) => trash === this.#last.trash)) this.#show(null);
    const rows = answer.trash.map((entry) => {
      const problem = el("small", { class: "problem" });
      const when = new Date(1000 * entry.deleted).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
      const what = el(
        "div",
        { class: "what" },
        entry.what,
        el("small", {}, `${count(entry.files.length, "file")}, ${size(entry.bytes)}, ${when}`),
        problem,
      );
      const name = `Undo the deletion of ${entry.what}`;
      return el(
        "li",
        {},
        what,
        button("Undo", () => this.#undo(entry, problem), { key: entry.trash, "aria-label": name }),
      );
    });
    showAgain($("trash-list"), rows, afterUndo());
  }

  async #undo(entry, where) {
    try {
      await this.#api.post(`api/studio/trash/${entry.trash}/undo`);
      if (entry.trash === this.#last?.trash) this.#show(null);
      announce("Brought back.");
      await this.#onChange();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setText(where, error.message);
      announce(error.message);
    }
  }

  #show(entry) {
    const had = $("undo").contains(document.activeElement);
    this.#last = entry;
    $("undo").hidden = !entry;
    setText($("undo-words"), entry?.words ?? "");
    if (entry) $("undo-button").focus();
    else if (had) afterUndo().focus();
    if (entry) announce(entry.words);
  }
}

function afterUndo() {
  return $(AFTER[document.body.dataset.section]);
}
