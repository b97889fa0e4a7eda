// What the page's buttons and controls do, whoever its models come from: a source, as server_source.js has one.

import { isBeside, showNoCharacter } from "./character_panel.js";
import { check, inWordsOfThePage, requestOf, setValues, values } from "./controls.js";
import { copy, download, linkOf, partsOfAddress, takeToken } from "./links.js";
import { showLosses } from "./loss_curve.js";
import { ModelList } from "./models.js";
import { Problem } from "./problem.js";
import { say } from "./said.js";
import { fold, showTab } from "./tabs.js";
import { TextView } from "./text_view.js";
import { sampleTint, scoreInWords, scoreTint, showCandidates, showScales, showSurprise } from "./tints.js";

const $ = (id) => document.getElementById(id);
const LOOK_AGAIN = 1000; // milliseconds, as often as the server itself looks

const models = new ModelList($("model"));
const text = new TextView($("text"), sampleTint, showCandidates);
const ownText = new TextView($("scored"), scoreTint, showSurprise);
let source = null;
let shown = null; // of the text: {values, model, followed, whole: whether all was drawn, more: what Continue adds}
let scored = ""; // the name of the model that scored the other text
let described = ""; // the model that the page tells about, as JSON
let running = null; // AbortController of what is being drawn or scored
let outdated = false; // whether that has to be done anew when it has ended
let looking = false; // whether the list of models is asked for time and again

// -- models ---------------------------------------------------------------------------------------------------------

// Begin, with the models of a source.
export function start(from) {
  source = from;
  takeUpToken();
  showNoCharacter();
  open();
}

async function open() {
  try {
    models.takeUp(await source.models());
  } catch (error) {
    report(error, $("notice"));
    return;
  }
  sayWhatIsMissing();
  $("ask-token").hidden = true;
  $("main").hidden = false;
  $("length").max = models.limits.length;
  $("primetext").dataset.most = models.limits.primetext;
  $("own").dataset.most = models.limits.score;
  const wanted = !shown && recall();
  refresh();
  if (wanted) draw({ fromStart: true });
  if (models.follow && !looking) lookAgain();
}

function takeUpToken() {
  const token = takeToken();
  if (token) source.token = token;
}

async function lookAgain() {
  for (looking = true; ; ) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
    if (document.hidden || $("main").hidden) continue;
    try {
      const list = await source.models();
      if (list) models.takeUp(list);
      sayWhatIsMissing();
    } catch (error) {
      report(error, $("notice"));
    }
    if (!refresh() || !models.followed) continue;
    if (running) outdated = true;
    else redo({ anyway: true });
  }
}

function sayWhatIsMissing() {
  say(models.isEmpty ? "No checkpoint yet: the page waits for the first one." : "", $("notice"));
}

// Show what goes with the controls as they are now; true if another model is chosen, or the same one has changed.
function refresh() {
  const before = described;
  described = JSON.stringify(models.chosen);
  if (models.chosen && described !== before) describe(models.chosen);
  const name = models.chosen?.id;
  document.title = name ? `${$("score").hidden ? "Text" : "Surprise"} of ${name} - pycharrnn` : "pycharrnn";
  $("temperature-shown").value = Number($("temperature").value).toFixed(2);
  showScales();
  showButtons();
  return described !== before;
}

async function describe(one) {
  const loss = one.val_loss === null ? "" : `, validation loss ${one.val_loss.toFixed(4)}`;
  const size = `${one.num_layers} × ${one.rnn_size}, ${one.vocab_size} characters`;
  $("about").textContent = `${one.id}: ${one.model}, ${size}${loss}, ${one.program}`;
  $("layer").max = one.num_layers;
  $("unit").max = one.rnn_size;
  try {
    const losses = await source.losses(one.id);
    if (one.id === models.chosen?.id) showLosses($("losses"), losses);
  } catch (error) {
    report(error, $("notice"));
  }
}

// -- drawing and scoring --------------------------------------------------------------------------------------------

// Draw a text, which takes the place of the one that is there as soon as its first characters come.
// from: keep so many characters of that. fromStart: show the beginning, not what comes last.
async function draw({ from = 0, fromStart = false } = {}) {
  if (!check(undefined, { focus: true })) {
    fold(false);
    return;
  }
  const of = from ? { ...shown, values: { ...shown.values, length: $("length").value } } : asked();
  if (!of) return;
  await run($("status"), async (signal) => {
    say("drawing…");
    let begun = false;
    for await (const items of source.sample({ ...requestOf(of.values), model: of.model, skip: from }, signal)) {
      signal.throwIfAborted();
      if (!items.length) continue;
      if (!begun) {
        text.cut(from);
        show({ ...of, whole: false });
      }
      text.append(items, !fromStart);
      if (!begun && from) text.scrollTo(from + 1);
      begun = true;
      showButtons();
    }
    shown.whole = true;
    say(`${text.items.length} characters`);
  });
}

// From now on this is the text that the page shows, and its address brings back.
function show(of) {
  shown = of;
  history.replaceState(null, "", linkOf(of, of.followed));
}

function asked() {
  const { chosen, followed } = models;
  return chosen && { values: values(), model: chosen.id, followed, more: Number($("length").value) };
}

// The same text, longer: what is there is its beginning. Its last character is drawn anew, as it may be half of one.
function goOn() {
  const length = Number(shown.values.length) + (shown.whole ? shown.more : 0);
  $("length").value = Math.min(length, models.limits.length);
  draw({ from: text.items.length - 1 });
}

async function score() {
  const { chosen } = models;
  if (!check([$("own")], { focus: true }) || !chosen) return;
  await run($("score-status"), async (signal) => {
    say("reading…", $("score-status"));
    const answer = await source.score({ model: chosen.id, text: $("own").value }, signal);
    ownText.cut();
    ownText.append(answer.characters, false);
    scored = chosen.id;
    say(scoreInWords(answer, chosen.code_points), $("score-status"));
  });
}

// Do one thing at a time, and say in `status` what became of it.
async function run(status, work) {
  running?.abort();
  const mine = (running = new AbortController());
  showButtons();
  try {
    await work(mine.signal);
  } catch (error) {
    if (mine !== running) return;
    if (error.name === "AbortError") say(`stopped after ${text.items.length} characters`, status);
    else report(error, status);
  } finally {
    if (mine === running) {
      running = null;
      showButtons();
      if (outdated) redo({ anyway: true });
    }
  }
}

// The text of the tab that is shown follows the model and the controls. anyway: also if there is none yet.
function redo({ anyway = false } = {}) {
  outdated = false;
  if ($("score").hidden && (shown || anyway)) draw({ fromStart: true });
  if ($("sample").hidden && scored) score();
}

function showButtons() {
  const most = shown?.whole && Number(shown.values.length) >= models.limits.length;
  $("draw").disabled = $("score-button").disabled = !models.chosen;
  $("stop").disabled = !running;
  $("continue").disabled = running || !shown || most;
  $("continue").title = most ? `Length: at most ${models.limits.length} characters` : "";
  for (const id of ["copy", "download", "link"]) $(id).disabled = !text.items.length;
}

// -- what is said ---------------------------------------------------------------------------------------------------

function report(error, where) {
  if (!(error instanceof Problem)) throw error;
  if (!error.token) {
    say(inWordsOfThePage(error.message), where, true);
    return;
  }
  $("main").hidden = true;
  $("ask-token").hidden = false;
  say(error.message, $("token-problem"), true);
  $("token").focus();
}

// Set the controls as the address says; true if it asks for a text that can be drawn.
function recall() {
  const parts = partsOfAddress();
  if (!parts.has("model")) return false;
  setValues(parts);
  if (models.choose(parts.get("model"), parts.get("follow"))) return true;
  say(`The model ${parts.get("model")} is not here.`, $("status"), true);
  return false;
}

// -- what the reader does -------------------------------------------------------------------------------------------

function openTab(name) {
  showTab(name);
  (name === "sample" ? ownText : text).choose(-1);
  refresh();
  const of = name === "sample" ? shown?.model : scored;
  if (of && of !== models.chosen?.id) redo();
}

for (const [id, other] of [["sample", "score"], ["score", "sample"]]) {
  $(`tab-${id}`).addEventListener("click", () => openTab(id));
  $(`tab-${id}`).addEventListener("keydown", ({ key }) => ["ArrowLeft", "ArrowRight"].includes(key) && openTab(other));
}
// Enter in a control clicks the button of its form. The form itself is never sent, which a page in a frame may not do.
for (const [id, go] of [["draw", draw], ["score-button", score]]) {
  $(id).addEventListener("click", (event) => {
    event.preventDefault();
    if (id === "draw") fold(true);
    go();
  });
}
$("continue").addEventListener("click", goOn);
$("stop").addEventListener("click", () => running?.abort());
$("dice").addEventListener("click", () => {
  $("seed").value = Math.floor(Math.random() * 2 ** 32);
  draw();
});
$("temperature").addEventListener("input", refresh);
$("model").addEventListener("change", () => {
  refresh();
  redo();
});
// A text on the page follows its controls; one that was drawn from within a control is there when that is left.
$("controls").addEventListener("change", ({ target }) => {
  refresh();
  if (!running && (!shown || JSON.stringify(shown.values) === JSON.stringify(values()))) return;
  if (target.id !== "tint" || target.value === "unit") {
    draw({ fromStart: true });
    return;
  }
  text.tint();
  if (!shown) return;
  show({ ...shown, values: { ...shown.values, tint: target.value } });
});
for (const [id, go] of [["primetext", () => draw()], ["own", score]]) {
  $(id).addEventListener("keydown", ({ key, ctrlKey, metaKey }) => key === "Enter" && (ctrlKey || metaKey) && go());
}
$("copy").addEventListener("click", () => copy(text.text).then(() => say("text copied")));
$("link").addEventListener("click", () => copy(linkOf(shown)).then(() => say("link copied")));
$("download").addEventListener("click", () => download(text.text, "sample.txt"));
// Beside a character, its panel is in the way of whoever goes on elsewhere.
document.addEventListener("pointerdown", ({ target }) => {
  if (!isBeside() || target.closest("pre, #character")) return;
  for (const view of [text, ownText]) if (view.span) view.choose(-1);
});
$("ask-token").addEventListener("submit", (event) => {
  event.preventDefault();
  source.token = $("token").value.trim();
  open();
});
$("token").addEventListener("input", () => say("", $("token-problem")));
addEventListener("hashchange", () => {
  takeUpToken();
  if (!recall()) return;
  refresh();
  draw({ fromStart: true });
});
