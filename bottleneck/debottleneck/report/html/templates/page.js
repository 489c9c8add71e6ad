"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 700px)");
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  const config = { responsive: true, displayModeBar: false, displaylogo: false };
  const SHEET = 905;  // pixels of a printed page, A4 or Letter, as page.css zooms it
  const TOO_OLD =
    "Figures need a browser of 2023 or later; the tables hold the numbers.";

  let printing = false;
  let data;

  // Figures and plotly.js are packed.

  async function unpacked(id) {
    const packed = atob(document.getElementById(id).textContent);
    const bytes = new Uint8Array(packed.length);
    for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
    const stream = new Blob([bytes]).stream();
    const whole = stream.pipeThrough(new DecompressionStream("gzip"));
    return new Response(whole).text();
  }

  function withoutFigures(why) {
    for (const element of all(".figure")) {
      element.removeAttribute("role");
      element.textContent = why;
      element.classList.add("missing");
    }
    root.dataset.drawn = "none";
  }

  // Figures

  function themed(figure) {
    const layout = structuredClone(figure.layout);
    layout.template = data.themes[dark.matches && !printing ? "dark" : "light"];
    layout.autosize = true;
    if (printing) layout.width = SHEET;
    layout.font = { family: css("--text"), size: narrow.matches ? 11 : 12 };
    if (narrow.matches) layout.dragmode = false;
    return layout;
  }

  function mix(from, to, part) {
    const channels = (colour) =>
      [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
    const end = channels(to);
    const mixed = channels(from).map((c, i) => Math.round(c + (end[i] - c) * part));
    return `rgb(${mixed.join(",")})`;
  }

  function flameColours(meta) {
    const chosen = document.querySelector("input[name=flame-colour]:checked");
    if (chosen && chosen.value === "gil") {
      return meta.gil.map((g) => mix(css("--gil-none"), css("--gil-all"), Math.min(1, g)));
    }
    const kinds = [css("--library"), css("--own"), css("--plain")];
    return meta.kind.map((kind) => kinds[kind]);
  }

  async function draw(element) {
    const figure = data.figures[element.dataset.figure];
    const layout = themed(figure);
    let traces = figure.data;
    if (layout.meta && layout.meta.gil) {
      const marker = { colors: flameColours(layout.meta) };
      marker.line = { width: 1, color: css("--paper") };
      const textfont = { color: css("--flame-ink") };
      const more = { marker, textfont, root: { color: "rgba(0,0,0,0)" } };
      traces = traces.map((trace) => ({ ...trace, ...more }));
      delete layout.meta;
    }
    element.style.height = `${layout.height}px`;
    await Plotly.react(element, traces, layout, config);
    element.dataset.drawn = element.dataset.figure;
  }

  const folded = (element) => element.closest("details:not([open])") !== null;

  async function drawAll() {
    for (const element of all(".figure")) {
      if (folded(element)) continue;
      await draw(element);
      await new Promise((resolve) => setTimeout(resolve));
    }
    root.dataset.drawn = "all";
  }

  function drawUnfolded(event) {
    if (!event.target.open || printing) return;
    all(".figure", event.target).filter((e) => !folded(e)).forEach(draw);
  }

  // What is on paper: everything unfolded, light, as wide as the sheet.

  function print() {
    printing = true;
    root.classList.add("printing");
    for (const fold of all("main details:not([open])")) {
      fold.open = true;
      fold.dataset.opened = "";
    }
    all(".figure").forEach(draw);
  }

  function printed() {
    printing = false;
    root.classList.remove("printing");
    for (const fold of all("details[data-opened]")) {
      fold.open = false;
      delete fold.dataset.opened;
    }
    drawAll();
  }

  function flameControls() {
    for (const select of all("select[data-flames]")) {
      const figure = document.getElementById(select.dataset.flames);
      select.addEventListener("change", () => {
        figure.dataset.figure = select.value;
        figure.setAttribute("aria-label", select.selectedOptions[0].dataset.label);
        Plotly.purge(figure);
        draw(figure);
      });
    }
    for (const radio of all("input[name=flame-colour]")) {
      radio.addEventListener("change", () => {
        document.getElementById("flame-key-kind").hidden = radio.value !== "kind";
        document.getElementById("flame-key-gil").hidden = radio.value !== "gil";
        all("select[data-flames]").forEach((select) =>
          draw(document.getElementById(select.dataset.flames)));
      });
    }
  }

  // Tables

  const sortKey = (cell) => cell.dataset.sort ?? cell.textContent.trim();

  function compare(a, b) {
    const [x, y] = [Number(a), Number(b)];
    if (a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return a.localeCompare(b, "en", { numeric: true });
  }

  function sortBy(table, index, header) {
    const number = header.classList.contains("num");
    const now = header.getAttribute("aria-sort");
    const first = number ? "descending" : "ascending";
    const second = number ? "ascending" : "descending";
    const order = now === first ? second : first;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const keyed = [...table.tBodies[0].rows].map((row) => [sortKey(row.cells[index]), row]);
    keyed.sort((a, b) => sign * compare(a[0], b[0]));
    table.tBodies[0].append(...keyed.map((pair) => pair[1]));
  }

  function sortable(table) {
    [...table.tHead.rows[0].cells].forEach((header, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = header.textContent;
      header.replaceChildren(button);
      button.addEventListener("click", () => sortBy(table, index, header));
    });
  }

  function filterable(input) {
    const table = document.getElementById(input.dataset.filters);
    const count = document.querySelector(`[data-count="${table.id}"]`);
    const rows = [...table.tBodies[0].rows].map((row) => [row, row.textContent.toLowerCase()]);
    const show = () => {
      const wanted = input.value.trim().toLowerCase().split(/\s+/);
      let shown = 0;
      for (const [row, text] of rows) {
        row.hidden = !wanted.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.value = `${shown} of ${rows.length}`;
    };
    input.addEventListener("input", show);
    show();
  }

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

  function copies(button) {
    const said = button.parentElement.querySelector("output");
    button.hidden = false;
    button.addEventListener("click", async () => {
      const done = await copy(document.getElementById(button.dataset.copies));
      said.value = done ? "Copied." : "Selected: copy it with the keyboard.";
    });
  }

  const contents = document.querySelector("nav details");
  const wide = matchMedia("(min-width: 1100px)");
  const unfold = () => { contents.open = wide.matches; };
  if (contents) {
    wide.addEventListener("change", unfold);
    unfold();
  }

  all("table[data-sortable]").forEach(sortable);
  all("input[data-filters]").forEach(filterable);
  all("button[data-copies]").forEach(copies);

  async function figures() {
    if (all(".figure").length) {
      if (!window.DecompressionStream) return withoutFigures(TOO_OLD);
      data = JSON.parse(await unpacked("data"));
      const script = document.createElement("script");
      script.textContent = await unpacked("plotly");
      document.head.append(script);
      flameControls();
      document.addEventListener("toggle", drawUnfolded, true);
      dark.addEventListener("change", drawAll);
      narrow.addEventListener("change", drawAll);
      addEventListener("beforeprint", print);
      addEventListener("afterprint", printed);
    }
    await drawAll();
  }
  figures();
})();
