/** The learning page: its training panel follows the training, starts one and stops it. */

import { ask, say } from "./api.js";
import { keepFresh } from "./refresh.js";

const panel = document.getElementById("training");
const reason = document.getElementById("training-said");
const refreshNow = keepFresh(panel, () => panel.dataset.refresh, 3);

panel.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const starts = button.hasAttribute("data-train-start");
  button.disabled = true;
  reason.textContent = "";
  try {
    if (starts) await ask(`/train/${document.getElementById("train-model").value}`, { json: {} });
    else await ask("/train/", { method: "DELETE" });
    say(starts ? "The training begins." : "The training was stopped; what served before still serves.");
  } catch (error) {
    reason.textContent = error.message;
  }
  button.disabled = false;
  await refreshNow();
});
