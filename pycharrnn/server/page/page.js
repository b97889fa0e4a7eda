// The page of `pycharrnn serve`: what its buttons and controls do. Models come from a source, as in source.js.

import { isBeside, showNoCharacter } from "./character_panel.js";
import { check, inWordsOfThePage, setValues, values } from "./controls.js";
import { showLosses } from "./loss_curve.js";
import { ModelList } from "./models.js";
import { Problem, ServerSource } from "./source.js";
import { TextView } from "./text_view.js";
import { sampleTint, scoreTint, showCandidates, showScales, showSurprise } from "./tints.js";

const $ = (id) => document.getElementById(id);
const LOOK_AGAIN = 2000; // milliseconds

const source = new ServerSource();
const models = new ModelList($("model"));
const text = new TextView($("text"), sampleTint, showCandidates);
const ownText = new TextView($("scored"), scoreTint, showSurprise);
let shown = null; // of the text: {values, model, followed, whole: whether all was drawn, more: what Continue adds}
let scored = ""; // the name of the model that scored the other text
let losses = null; // of the chosen model
let running = null; // AbortController of what is being drawn or scored
let outdated = false; // whether that has to be done anew when it has ended
let looking = false; // whether the list of models is asked for time and again

// -- models ---------------------------------------------------------------------------------------------------------

async function start() {
  try {
    models.takeUp(await source.models());
  } catch (error) {
    report(error, $("notice"));
    return;
  }
  say("", $("notice"));
  $("ask-token").hidden = true;
  $("main").hidden = false;
  $("length").max = models.limits.length;
  $("primetext").dataset.most = models.limits.primetext;
  $("own").dataset.most = models.limits.score;
  if (!models.chosen) say("No checkpoint yet: the page waits for the first one.", $("notice"));
  const wanted = !shown && recall();
  refresh();
  if (wanted) draw({ fromStart: true });
  if (models.follow && !looking) lookAgain();
}

async function lookAgain() {
  for (looking = true; ; ) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
    if (document.hidden || $("main").hidden) continue;
    const before = JSON.stringify(models.chosen);
    try {
      const list = await source.models();
      if (list) models.takeUp(list);
      say(models.chosen || models.followed === "" ? "" : $("notice").textContent, $("notice"));
    } catch (error) {
      report(error, $("notice"));
    }
    if (JSON.stringify(models.chosen) === before) continue;
    refresh();
    if (!models.followed) continue;
    if (running) outdated = true;
    else redo({ anyway: true });
  }
}

function refresh() {
  const one = models.chosen;
  if (one) {
    const name = models.followed ? `${one.id}: ` : "";
    const loss = one.val_loss === null ? "" : `, validation loss ${one.val_loss.toFixed(4)}`;
    const kind = `${one.model}, ${one.num_layers} × ${one.rnn_size}, ${one.vocab_size} characters`;
    $("about").textContent = `${name}${kind}${loss}, ${one.program}`;
    $("layer").max = one.num_layers;
    $("unit").max = one.rnn_size;
    document.title = `${$("score").hidden ? "Text" : "Surprise"} of ${one.id} - pycharrnn`;
    refreshLosses(one);
  }
  $("temperature-shown").value = Number($("temperature").value).toFixed(2);
  showScales();
  showButtons();
}

async function refreshLosses(one) {
  try {
    const found = await source.losses(one.id);
    if (one.id !== models.chosen?.id) return;
    losses = found;
    showLosses($("losses"), losses);
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
    for await (const items of source.sample({ ...request(of), skip: from }, signal)) {
      signal.throwIfAborted();
      if (!items.length) continue;
      if (!begun) {
        text.cut(from);
        shown = { ...of, whole: false };
        remember();
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

function asked() {
  const { chosen, followed } = models;
  return chosen && { values: values(), model: chosen.id, followed, more: Number($("length").value) };
}

function request(of) {
  const body = { model: of.model, primetext: of.values.primetext, candidates: 8 };
  for (const id of ["temperature", "topk", "topp", "seed", "length"]) body[id] = Number(of.values[id]);
  if (of.values.tint === "unit") body.unit = { layer: Number(of.values.layer), unit: Number(of.values.unit) };
  return body;
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
    const mean = answer.bits_per_character;
    const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
    const kind = chosen.code_points ? "character" : "byte";
    const unknown = answer.unknown ? `; left out ${plural(answer.unknown, kind)} that the model has never seen` : "";
    const words = mean === null ? "no score" : `${mean.toFixed(3)} bits per character, ${plural(answer.known, "character")}`;
    say(`${words}${unknown}`, $("score-status"));
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
  }
  if (mine !== running) return;
  running = null;
  showButtons();
  if (outdated) redo({ anyway: true });
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

function say(words, where = $("status"), problem = false) {
  if (where.textContent !== words) where.textContent = words; // an equal one would be read out again
  where.classList.toggle("problem", problem);
}

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

// -- links ----------------------------------------------------------------------------------------------------------

// The address of the text that is shown: for the page itself with what it follows, for others without.
function link({ followed = "" } = {}) {
  const parts = new URLSearchParams({ model: shown.model, ...shown.values });
  if (shown.values.tint !== "unit") for (const id of ["layer", "unit"]) parts.delete(id);
  if (followed) parts.set("follow", followed);
  return `${location.href.split("#")[0]}#${parts}`;
}

function remember() {
  history.replaceState(null, "", link(shown));
}

// Keep a token that the address has, and take it out of there.
function takeToken() {
  const parts = new URLSearchParams(location.hash.slice(1));
  if (!parts.has("token")) return;
  source.token = parts.get("token");
  parts.delete("token");
  history.replaceState(null, "", parts.size ? `#${parts}` : location.pathname);
}

// Set the controls as the address says; true if it asks for a text that can be drawn.
function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  if (!parts.has("model")) return false;
  setValues(parts);
  if (models.choose(parts.get("model"), parts.get("follow"))) return true;
  say(`This server does not have the model ${parts.get("model")}.`, $("status"), true);
  return false;
}

async function copy(content, what) {
  try {
    await navigator.clipboard.writeText(content);
  } catch {
    // Without https a browser may offer no clipboard but this.
    const area = document.createElement("textarea");
    area.value = content;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} copied`);
}

// -- what the reader does -------------------------------------------------------------------------------------------

function fold(folded) {
  $("settings").classList.toggle("folded", folded);
  $("fold").setAttribute("aria-expanded", String(!folded));
}

function openTab(name) {
  for (const id of ["sample", "score"]) {
    $(id).hidden = id !== name;
    $(`tab-${id}`).setAttribute("aria-selected", String(id === name));
    $(`tab-${id}`).tabIndex = id === name ? 0 : -1;
  }
  $("controls").hidden = name !== "sample";
  $(`tab-${name}`).focus();
  (name === "sample" ? ownText : text).choose(-1);
  refresh();
  const of = name === "sample" ? shown?.model : scored;
  if (of && of !== models.chosen?.id) redo();
}

for (const [id, other] of [["sample", "score"], ["score", "sample"]]) {
  $(`tab-${id}`).addEventListener("click", () => openTab(id));
  $(`tab-${id}`).addEventListener("keydown", ({ key }) => ["ArrowLeft", "ArrowRight"].includes(key) && openTab(other));
}
$("fold").addEventListener("click", () => fold($("fold").getAttribute("aria-expanded") === "true"));
$("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  fold(true);
  draw();
});
$("score-form").addEventListener("submit", (event) => {
  event.preventDefault();
  score();
});
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
// A text on the page follows its controls.
$("controls").addEventListener("change", ({ target }) => {
  refresh();
  if (!shown && !running) return;
  if (target.id !== "tint" || target.value === "unit") {
    draw({ fromStart: true });
    return;
  }
  text.tint();
  if (!shown) return;
  shown.values.tint = target.value;
  remember();
});
// What was said of a request is over once another one is prepared.
for (const [form, status] of [["controls", "status"], ["score-form", "score-status"]]) {
  $(form).addEventListener("input", () => $(status).classList.contains("problem") && say("", $(status)));
}
for (const [id, go] of [["primetext", () => draw()], ["own", score]]) {
  $(id).addEventListener("keydown", ({ key, ctrlKey, metaKey }) => key === "Enter" && (ctrlKey || metaKey) && go());
}
$("copy").addEventListener("click", () => copy(text.text, "text"));
$("link").addEventListener("click", () => copy(link(), "link"));
$("download").addEventListener("click", () => {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([text.text], { type: "text/plain;charset=utf-8" }));
  anchor.download = "sample.txt";
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
});
// Beside a character, its panel is in the way of whoever goes on elsewhere.
document.addEventListener("pointerdown", ({ target }) => {
  if (!isBeside() || target.closest("pre, #character")) return;
  for (const view of [text, ownText]) if (view.span) view.choose(-1);
});
$("ask-token").addEventListener("submit", (event) => {
  event.preventDefault();
  source.token = $("token").value.trim();
  start();
});
$("token").addEventListener("input", () => say("", $("token-problem")));
addEventListener("resize", () => losses && showLosses($("losses"), losses));
addEventListener("hashchange", () => {
  takeToken();
  if (!recall()) return;
  refresh();
  draw({ fromStart: true });
});
takeToken();
showNoCharacter();
start();
