"use strict";
(() => {
  // A page opened from a file may lack the clipboard; selecting works everywhere.
  async function copy(element) {
    try {
      await navigator.clipboard.writeText(element.textContent);
      return true;
    } catch {
      const selection = getSelection();
      selection.selectAllChildren(element);
      return document.execCommand("copy");
    }
  }

  for (const button of document.querySelectorAll("button[data-copies]")) {
    const said = button.parentElement.querySelector("output");
    button.hidden = false;
    button.addEventListener("click", async () => {
      const done = await copy(document.getElementById(button.dataset.copies));
      said.value = done ? "Copied." : "Selected: copy it with the keyboard.";
    });
  }

  // A link to a folded section opens what is folded there.
  function unfold() {
    const section = location.hash && document.getElementById(location.hash.slice(1));
    if (!section) return;
    for (const fold of section.querySelectorAll("details.fold")) fold.open = true;
  }
  addEventListener("hashchange", unfold);
  unfold();
})();
