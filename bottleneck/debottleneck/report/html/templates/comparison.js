"use strict";
(() => {
  // A link to a folded section opens what is folded there.
  function unfold() {
    const section = location.hash && document.getElementById(location.hash.slice(1));
    if (!section) return;
    for (const fold of section.querySelectorAll("details.fold")) fold.open = true;
  }
  addEventListener("hashchange", unfold);
  unfold();
})();
