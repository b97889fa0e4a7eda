// Entry point of the page of `pycharrnn studio`: that of `pycharrnn serve`, with Learn and Bring.

import { askForToken, play, start } from "./page.js";
import { Problem } from "./problem.js";
import { ServerSource } from "./server_source.js";
import { StudioApi, UNREACHABLE } from "./studio_api.js";
import { Bring } from "./studio_bring.js";
import { Trash } from "./studio_delete.js";
import { $, setText } from "./studio_dom.js";
import { Learn } from "./studio_learn.js";
import { Models } from "./studio_models.js";
import { firstSection, showSection } from "./studio_nav.js";
import { Runs } from "./studio_runs.js";
import { askFormat } from "./studio_send.js";

const BUSY = 1000; // milliseconds between questions to the server, while something is learnt
const IDLE = 3000;

const source = new ServerSource();
const api = new StudioApi(source, askForToken);
let models = []; // of /api/models
let facts = null; // of /api/studio
let timer = 0;

const trash = new Trash(api, refresh);
const send = (id) => askFormat(api, facts.send_formats, id);
const list = new Models({
  play: open,
  send,
  remove: (id) => attempt(() => trash.askModel(id), showIn("models-problem")),
});
const runs = new Runs(api, {
  play: open,
  send,
  remove: (run) => attempt(() => trash.askRun(run), (words) => runs.showProblem(words)),
  onChange: refresh,
});
const bring = new Bring(api, open, refresh);

async function open(id) {
  showSection("play");
  await play(id);
  $("generate").focus();
}

// Asks for what has changed, and again after some time.
async function refresh() {
  clearTimeout(timer);
  try {
    await attempt(async () => {
      if (!facts) await begin();
      await runs.refresh();
      const answer = await api.changed("api/models");
      if (answer) list.show((models = answer.models));
      if (!document.body.dataset.section) showSection(firstSection(!models.length || runs.isBusy));
      await trash.showList();
      forgetUnreachable();
    }, showIn("studio-notice"));
  } finally {
    // Also after an unexpected error, such as a proxy's answer in place of the server's: the next one may be its own.
    clearTimeout(timer);
    timer = setTimeout(() => (document.hidden ? null : refresh()), runs.isBusy ? BUSY : IDLE);
  }
}

// Takes back what the sections have said while the server could not be reached.
function forgetUnreachable() {
  for (const alert of document.querySelectorAll("[role=alert]")) {
    if (alert.textContent === UNREACHABLE) setText(alert, "");
  }
}

async function begin() {
  const [about, options] = await Promise.all([api.get("api/studio"), api.get("api/studio/flags")]);
  if (facts) return; // the page was hidden and shown meanwhile, and asked twice
  facts = about;
  bring.describe(facts);
  if (facts.can_train)
    new Learn(
      api,
      options,
      facts.limits,
      () => models,
      (run) => runs.choose(run.id),
    );
  else {
    $("drop").hidden = true;
    setText($("learn-problem"), facts.why_not);
  }
}

// Shows the sentence of an action's Problem, which is "" where the page asks for a token; "" if it succeeds.
async function attempt(action, show) {
  try {
    await action();
    show("");
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    show(error.message);
  }
}

function showIn(id) {
  return (words) => setText($(id), words);
}

start(source, false); // else another person's training would replace a text
document.addEventListener("visibilitychange", () => document.hidden || refresh());
refresh();
