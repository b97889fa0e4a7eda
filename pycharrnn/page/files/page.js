// The page: its models, and what its buttons and controls do. A source provides the models: ServerSource or FileSource.

import { clearCharacter, listenForLeaving } from "./character_panel.js";
import { showScales } from "./colors.js";
import { hasValues, setValues, showAdaptControls, withLabel } from "./controls.js";
import { copy, download, linkTo, urlParams } from "./links.js";
import { showModel, unitOf } from "./header.js";
import { showLosses } from "./loss_curve.js";
import { ModelList } from "./models.js";
import { Problem } from "./problem.js";
import { Requests } from "./requests.js";
import { SampleTab } from "./sample_tab.js";
import { ScoreTab } from "./score_tab.js";
import { showStatus } from "./status.js";
import { fold, listenForTabs, showTab } from "./tabs.js";
import { listenForToken, showTokenForm, storeToken } from "./token_form.js";

const $ = (id) => document.getElementById(id);
const LINK_COPIED = location.protocol === "file:" ? "link copied: it works where this file is" : "link copied";
const POLL_INTERVAL = 1000; // milliseconds, as often as the server scans its folders

const models = new ModelList($("model"));
const requests = new Requests(requestsChanged, report);
const page = { source: null, models, requests };
const sampleTab = new SampleTab(page, showButtons);
const scoreTab = new ScoreTab(page);
let described = ""; // facts of the model that the page describes, as JSON
let plotted = { id: "", facts: "" }; // of the model whose losses the page shows, or has asked for; facts as JSON
let outdated = false; // whether to repeat the request that runs when it has ended, since its model has changed
let changed = false; // whether a control has changed since the last key or pointer went down
let polling = false; // whether the list of models is polled

// -- models ---------------------------------------------------------------------------------------------------------

export function start(from, followsAtFirst = true) {
  page.source = from;
  models.followsAtFirst = followsAtFirst;
  const option = $("color").querySelector("[value=copied]");
  option.hidden = option.disabled = !from.copied;
  storeToken(from);
  clearCharacter();
  showStatus("", $("score-status")); // a page that the browser has saved may have one
  open();
}

// Selects a model, which may be new, and generates a text with it.
export async function play(id) {
  if (!(await updateModels())) return;
  switchTo("sample");
  const exists = models.select(id);
  refresh();
  if (exists) sampleTab.generate();
  else reportMissing(id);
}

// Begins with the list of models. restores: whether to show the text of the address after that.
async function open(restores = !sampleTab.shown) {
  if (!(await updateModels())) return;
  showTokenForm(false);
  $("length").max = models.limits.length;
  $("max_copy").max = models.limits.length;
  $("items").max = models.limits.items;
  $("primetext").dataset.max = models.limits.primetext;
  $("own").dataset.max = models.limits.score;
  const opens = restores && (!hasText(urlParams()) || restoreFromUrl());
  refresh();
  if (opens) sampleTab.generate({ keepAddress: true });
  if (models.follow && !polling) poll();
}

// Asks for the list of models. Returns whether there was an answer.
async function updateModels() {
  try {
    const list = await page.source.models();
    if (list) models.setModels(list, Boolean(sampleTab.shown || scoreTab.facts));
  } catch (error) {
    report(error, $("notice"));
    return false;
  }
  showNotice();
  return true;
}

async function poll() {
  for (polling = true; ; ) {
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
    if (document.hidden || !$("main").getClientRects().length) continue; // it is not in sight
    await updateModels();
    if (!refresh() || !(models.followed || needsText())) continue;
    if (requests.isRunning) outdated = true;
    else rerun({ isAsked: false });
  }
}

function showNotice() {
  showStatus(models.isEmpty ? "No checkpoint yet: waiting for the first one." : "", $("notice"));
}

// Updates everything that depends on the controls. Returns whether another model is selected, or its facts have
// changed.
function refresh() {
  const before = described;
  described = JSON.stringify(models.selected);
  if (models.selected && described !== before) showModel(models.selected);
  if (models.selected && described !== plotted.facts) plot(models.selected);
  $("temperature-shown").value = Number($("temperature").value).toFixed(2);
  showScales();
  showAdaptControls();
  showButtons();
  return described !== before;
}

// Whether the visible text is outdated, or Generate has none, as before the first model arrives.
function needsText() {
  if (!$("score").hidden) return models.differsFrom(scoreTab.facts);
  return sampleTab.shown ? models.differsFrom(sampleTab.shown.facts) : Boolean(models.selected);
}

// Shows the losses of a model. Without an answer, the next refresh asks again.
async function plot(model) {
  if (plotted.id !== model.id) $("losses").hidden = true;
  const mine = (plotted = { id: model.id, facts: described });
  try {
    const losses = await page.source.losses(model.id);
    if (mine === plotted) showLosses($("losses"), losses); // else another has been selected
    showNotice(); // which may say why there was no answer before
  } catch (error) {
    if (mine === plotted) plotted = { ...mine, facts: "" };
    report(error, $("notice"));
  }
}

// -- requests -------------------------------------------------------------------------------------------------------

// The text of the controls; or another one if the page has it already, unless it came by this very press of a button or
// key, which has also ended the change of a control.
function generateNext() {
  if (!requests.isRunning && !changed && sampleTab.shown?.complete && sampleTab.isOfControls)
    sampleTab.generateAnother();
  else sampleTab.generate();
}

function requestsChanged() {
  showButtons();
  if (outdated && !requests.isRunning) rerun({ isAsked: false });
}

// Repeats the request of the visible tab with the present model and controls. isAsked: as in generate.
function rerun({ isAsked = true } = {}) {
  outdated = false;
  if ($("score").hidden) sampleTab.generate({ isAsked });
  else if (scoreTab.facts || requests.isOf($("score-status"))) scoreTab.score({ isAsked });
}

function showButtons() {
  const { shown, content } = sampleTab;
  const longest = shown?.complete && Number(shown.values.length) >= models.limits.length;
  for (const id of ["generate", "dice", "score-button"]) $(id).disabled = !models.selected;
  $("stop").disabled = !requests.isOf($("status"));
  $("score-stop").disabled = !requests.isOf($("score-status"));
  $("continue").disabled = requests.isRunning || !shown || shown.facts.items || shown.early || longest;
  $("continue").title = longest ? `Length: at most ${models.limits.length} ${unitOf(shown.facts)}` : "";
  for (const id of ["copy", "download", "link"]) $(id).disabled = !content.count;
}

// -- problems and the address ---------------------------------------------------------------------------------------

// Shows a Problem in an element, or asks for the token. Throws other errors.
function report(error, where) {
  if (!(error instanceof Problem)) throw error;
  if (error.token) askForToken(error);
  else showStatus(withLabel(error.message), where, true);
}

// Asks for the token that the server misses or refuses, as a Problem says.
export function askForToken({ message }) {
  showStatus("", $("notice")); // which may say that the server can't be reached
  showTokenForm(true, message);
}

// Whether an address is that of a text: it names a model or has settings. That of a place on the page (#text) does
// neither.
function hasText(params) {
  return Boolean(params.get("model")) || hasValues(params);
}

// Sets the controls and the model from the address, and shows the tab Generate; an address without a model is for the
// selected one. Returns whether the address is that of a text, by a model that the page has.
function restoreFromUrl() {
  const params = urlParams();
  if (!hasText(params)) return false;
  switchTo("sample");
  setValues(params);
  if (!params.get("model") || models.select(params.get("model"), params.get("follow"))) return true;
  reportMissing(params.get("model"));
  return false;
}

function reportMissing(id) {
  showStatus(`This page has no model ${id}.`, $("status"), true);
}

// Shows a tab. No character of the other one's text stays chosen.
function switchTo(name) {
  showTab(name);
  (name === "sample" ? scoreTab : sampleTab).view.choose(-1);
}

// -- events ---------------------------------------------------------------------------------------------------------

function score() {
  scoreTab.score();
}

function openTab(name) {
  switchTo(name);
  $(`tab-${name}`).focus();
  refresh();
  if (needsText() && (sampleTab.shown || !requests.isRunning)) rerun(); // else the first text is being generated
}

listenForTabs(openTab);
// Enter in a control clicks the button of its form. The form is never submitted: sandboxed frames forbid it.
for (const [id, action] of [["generate", generateNext], ["score-button", score]]) {
  $(id).addEventListener("click", (event) => {
    event.preventDefault();
    if (id === "generate") fold(true);
    if ($("score").hidden) action();
    else score(); // also after Enter in a control that both tabs have
  });
}
$("continue").addEventListener("click", () => sampleTab.continue());
for (const id of ["stop", "score-stop"]) $(id).addEventListener("click", () => requests.stop());
$("dice").addEventListener("click", () => sampleTab.generateAnother());
$("temperature").addEventListener("input", refresh);
$("model").addEventListener("change", () => {
  changed = true;
  refresh();
  rerun();
});
for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, () => (changed = false), true);
// A text on the page follows its controls. Leaving a control changes nothing if Ctrl-Enter in it has generated the
// text.
document.addEventListener("change", ({ target }) => {
  if (target.id === "score-adapt") refresh();
  if (target.form !== $("controls") || $("sample").hidden) return;
  refresh();
  if (!requests.isRunning && sampleTab.isOfControls) return;
  changed = true;
  if (target.id === "color" && target.value !== "unit") sampleTab.recolor(target.value);
  else sampleTab.generate();
});
for (const [id, action] of [["primetext", generateNext], ["own", score]]) {
  $(id).addEventListener("keydown", ({ key, ctrlKey, metaKey }) => key === "Enter" && (ctrlKey || metaKey) && action());
}
$("copy").addEventListener("click", () => copy(sampleTab.content.text, "text copied").then(showStatus));
$("link").addEventListener("click", () => copy(linkTo(sampleTab.shown), LINK_COPIED).then(showStatus));
$("download").addEventListener("click", () => {
  const { text, file } = sampleTab.content;
  download(text, file);
});
listenForLeaving(() => {
  for (const { view } of [sampleTab, scoreTab]) if (view.span) view.choose(-1);
});
listenForToken((token) => {
  page.source.token = token;
  open();
});
addEventListener("hashchange", () => {
  if (storeToken(page.source)) {
    open(!sampleTab.shown || hasText(urlParams())); // the page may be asking for the token
    return;
  }
  const opens = restoreFromUrl();
  refresh();
  if (opens) sampleTab.generate();
});
