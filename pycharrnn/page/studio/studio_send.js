// Send: a model in one of the forms that others can use, as a download.

import { Problem } from "./problem.js";
import { closeButton, dialogProblem, openDialog } from "./studio_dialog.js";
import { button, el, setText } from "./studio_dom.js";

// formats: [{format, what}] of the server. model: its id.
export function askFormat(api, formats, model) {
  const status = el("p", { role: "status" });
  const problem = dialogProblem();
  const title = el("input", { id: "send-title", maxlength: 200, placeholder: "the name of the run or text" });
  const about = el("input", { id: "send-about", maxlength: 2000 });
  const buttons = formats.map(({ format, what }) =>
    el(
      "li",
      {},
      button(`.${format}`, () => send(format), { "aria-describedby": `what-${format}` }),
      el("span", { id: `what-${format}` }, what),
    ),
  );
  openDialog("Send", [
    el(
      "p",
      {},
      el("b", {}, model),
      ": choose a format. The browser saves the file, to attach to a message or to put on a web page.",
    ),
    field("Title of the page", title),
    field("Words below the title", about),
    el("div", { class: "answer" }, status, problem),
    el("ul", { class: "formats" }, ...buttons),
    el("div", { class: "buttons" }, closeButton("Close")),
  ]);

  async function send(format) {
    const isPage = format === "html";
    const name = `${(isPage && fileName(title.value)) || model}.${format}`;
    const heading = isPage ? { title: title.value, about: about.value } : {};
    setText(problem, "");
    setText(status, `Making ${name}…`);
    try {
      await api.download(`api/studio/send?${new URLSearchParams({ model, format, ...heading })}`, name);
      setText(status, `${name} is in your downloads.`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setText(status, "");
      setText(problem, error.message);
    }
  }
}

// A title as browsers and systems accept it in the name of a file.
function fileName(title) {
  return title.replace(/[\\/:*?"<>|~]+/g, "_").replace(/^[ .]+|[ .]+$/g, "");
}

function field(words, input) {
  return el("div", { class: "field" }, el("label", { for: input.id }, words), input);
}
