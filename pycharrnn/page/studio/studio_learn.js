// Learn: from files, a folder or a pasted text to a run.

import { CONNECTION_LOST, Problem } from "./problem.js";
import { UNREACHABLE } from "./studio_api.js";
import { $, announce, count, el, sentence, setText } from "./studio_dom.js";
import { folderOf, listenForChoice, listenForDrop, pasted, refusalOf } from "./studio_files.js";
import { RunForm } from "./studio_form.js";
import { foundFacts, lengthWords } from "./studio_found.js";
import { UploadBox } from "./studio_upload_box.js";

const ENCODING = "Encoding of the files"; // the label of the field, as the server's sentences name it
const RETRY = 1000; // milliseconds until an unreachable server is asked again

export class Learn {
  #api;
  #limits;
  #models;
  #onStart;
  #itemWords; // of each value of -items
  #form;
  #upload = null; // AbortController
  #box = new UploadBox("upload", () => this.#upload?.abort());
  #asking = null; // AbortController of the requests about the open text
  #wasRead = false; // whether the server could read the open text
  #wasPasted = false; // whether the open text is that of the paste form

  // options: {flags, choices}, and limits: of the server. models(): those that there are. onStart(run): is called with
  // a new run.
  constructor(api, options, limits, models, onStart) {
    [this.#api, this.#limits, this.#models, this.#onStart] = [api, limits, models, onStart];
    this.#itemWords = options.choices.items;
    this.#form = new RunForm(api, options, {
      start: (values) => this.#start(values),
      reread: (values) => this.#reread(values),
      forget: () => this.#forget(true),
    });
    const take = (files) => this.#take(files);
    listenForDrop($("drop"), take, showProblem);
    listenForChoice($("choose-files"), $("files"), take);
    listenForChoice($("choose-folder"), $("folder"), take);
    $("paste").addEventListener("click", ({ detail }) => {
      const isHidden = $("paste-form").hidden;
      showPasteForm(detail > 1 ? !isHidden : isHidden); // the second click of a double click undoes nothing
    });
    $("paste-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if ($("pasted").value.trim()) this.#take([pasted($("pasted").value)], true);
      else showProblem("Paste or write a text first.");
    });
    // The browser then asks before it leaves or reloads the page, which would lose a text that may be nowhere else.
    addEventListener("beforeunload", (event) => {
      if ($("pasted").value.trim()) event.preventDefault();
    });
  }

  // files: [{file, path}]. wasPasted: whether they are the text of the paste form.
  async #take(files, wasPasted = false) {
    if (this.#upload) return;
    if (!files.length) return showProblem("There is no file in this folder.");
    const refusal = refusalOf(files, { most: this.#limits.files, bytes: this.#limits.file_bytes });
    if (refusal) return showProblem(sentence(refusal));
    const { signal } = (this.#upload = new AbortController());
    this.#wasPasted = wasPasted;
    showProblem("");
    this.#box.showBusy(`Uploading ${count(files.length, "file")}…`);
    showStep("upload");
    this.#box.show();
    try {
      const folder = folderOf(files);
      const { id } = await this.#api.post("api/studio/texts", { name: folder, is_folder: Boolean(folder) });
      await this.#send(id, files, signal);
      this.#box.showBusy("Reading the text…");
      await this.#readFirst(id, files, signal);
    } catch (error) {
      showStep("drop");
      if ($("paste-form").hidden) $("choose-files").focus();
      if (error instanceof Problem) showProblem(error.message);
      else if (error.name !== "AbortError") throw error;
    } finally {
      this.#upload = null;
    }
  }

  async #send(id, files, signal) {
    const total = files.reduce((sum, { file }) => sum + file.size, 0);
    let before = 0; // bytes of the files that are complete
    for (const [k, { file, path }] of files.entries()) {
      const show = (sent) => {
        const which = files.length > 1 ? `file ${k + 1} of ${files.length}` : file.name;
        this.#box.showSent(which, before + sent, total);
      };
      show(0);
      await this.#api.upload(`api/studio/upload?${new URLSearchParams({ text: id, name: path })}`, file, show, signal);
      before += file.size;
    }
  }

  // Reads an uploaded text. If its encoding has to be named first, opens the form at the field for it.
  async #readFirst(id, files, signal) {
    try {
      this.#open(id, await this.#api.post(`api/studio/texts/${id}/read`, {}, { signal }));
    } catch (error) {
      if (!(error instanceof Problem) || !error.message.includes(`"${ENCODING}"`)) throw error;
      this.#wasRead = false;
      const what = files.length > 1 ? count(files.length, "file") : files[0].path;
      $("found").replaceChildren(el("p", {}, el("b", {}, what)));
      setText($("how"), "");
      this.#form.open(id, { name: "", suggested_items: "", too_short: error.message }, this.#models());
      showStep("found");
      $("more").open = true;
      $("run-text-encoding").focus();
    }
  }

  #open(id, facts) {
    this.#wasRead = true;
    this.#showFacts(facts);
    this.#form.open(id, facts, this.#models());
    showStep("found");
    $(facts.too_short ? "other-text" : "start-run").focus({ preventScroll: true });
    $("found").scrollIntoView({ block: "nearest" });
    announce(`${lengthWords(facts)} found.${facts.too_short ? "" : " Start is ready."}`);
    this.#estimate(id, { items: facts.suggested_items }, this.#askAnew());
  }

  // Aborts the requests about the open text. Returns the signal of the next ones.
  #askAnew() {
    this.#asking?.abort();
    this.#asking = new AbortController();
    return this.#asking.signal;
  }

  async #estimate(id, fields, signal) {
    setText($("how"), "Timing this machine…");
    try {
      this.#form.showEstimates(await this.#api.post(`api/studio/texts/${id}/estimates`, fields, { signal }));
    } catch (error) {
      if (error instanceof Problem) setText($("how"), error.message);
      else if (error.name !== "AbortError") throw error;
    }
  }

  // Reads the text once more, as a list or in another encoding.
  async #reread({ text, items, label, text_encoding }) {
    const fields = { items, label, text_encoding };
    const signal = this.#askAnew();
    try {
      const facts = await this.#api.post(`api/studio/texts/${text}/read`, fields, { signal });
      if (!this.#wasRead) {
        this.#wasRead = true;
        this.#form.suggest(facts);
        fields.items = this.#form.values.items;
      }
      this.#showFacts(facts, fields.items);
      this.#form.showUnread(sentence(facts.too_short));
      this.#form.showCommand();
      this.#estimate(text, fields, signal);
    } catch (error) {
      if (error instanceof Problem) {
        setText($("how"), "");
        this.#form.showUnread(error.message);
        if ([UNREACHABLE, CONNECTION_LOST].includes(error.message)) {
          const again = setTimeout(() => this.#reread({ text, ...fields }), RETRY);
          signal.addEventListener("abort", () => clearTimeout(again));
        }
      } else if (error.name !== "AbortError") throw error;
    }
  }

  async #start(values) {
    this.#form.isStarting = true;
    try {
      const run = await this.#api.post("api/studio/runs", values);
      if (this.#wasPasted) $("pasted").value = "";
      this.#forget();
      await this.#onStart(run);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#form.showProblem(error.message);
    } finally {
      this.#form.isStarting = false;
      // The disabled button has lost the focus. After a start it is hidden.
      if (document.activeElement === document.body) $("start-run").focus();
    }
  }

  #showFacts(facts, items = null) {
    $("found").replaceChildren(...foundFacts(facts, items, this.#itemWords));
  }

  #forget(focus = false) {
    this.#asking?.abort();
    showStep("drop");
    if (focus && $("paste-form").hidden) $("choose-files").focus();
  }
}

// step: "drop", "upload" or "found".
function showStep(step) {
  $("drop").hidden = step !== "drop";
  showPasteForm(step === "drop" && Boolean($("pasted").value)); // which may be there nowhere else
  $("upload").hidden = step !== "upload";
  $("found").hidden = $("new-run").hidden = step !== "found";
}

function showPasteForm(shown) {
  $("paste-form").hidden = !shown;
  $("paste").setAttribute("aria-expanded", String(shown));
  if (shown) $("pasted").focus();
}

function showProblem(words) {
  announce(words, $("learn-problem"));
}
