// The tab Score: a text of the user's, and how well the model predicts it.

import { scoreClasses, scoreSentence, showSurprise } from "./colors.js";
import { check, scoreInputs, scoreRequestOf } from "./controls.js";
import { progressOf, showStatus } from "./status.js";
import { TextView } from "./text_view.js";

const $ = (id) => document.getElementById(id);

export class ScoreTab {
  view = new TextView($("scored"), scoreClasses, showSurprise);
  facts = null; // of the model that scored the text on the page
  #page;

  // page: {source, models, requests}.
  constructor(page) {
    this.#page = page;
  }

  // isAsked: whether the user has asked for it, so that the focus may move to a control with a problem.
  async score({ isAsked = true } = {}) {
    const { source, models, requests } = this.#page;
    const { selected } = models;
    if (!check(scoreInputs(), { focus: isAsked }) || !selected) return;
    const request = async (signal) => {
      const asked = scoreRequestOf(selected, models.limits.score);
      showStatus("scoring…", $("score-status"));
      const answer = await source.score(asked, signal, progressOf(asked, $("score-progress")));
      this.view.truncate();
      this.view.append(answer.characters);
      this.facts = selected;
      showStatus(scoreSentence(answer, selected.code_points), $("score-status"));
    };
    await requests.run($("score-status"), request, () => "stopped");
  }
}
