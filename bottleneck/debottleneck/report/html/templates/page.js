"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 700px)");
  const css = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const config = { responsive: true, displayModeBar: false, displaylogo: false };

  const SLIM = 668;  // narrower figures slant their columns' names

  function themed(figure, width) {
    const layout = structuredClone(figure.layout);
    layout.template = data.themes[dark.matches ? "dark" : "light"];
    layout.autosize = true;
    layout.font = { family: css("--text"), size: narrow.matches ? 11 : 12 };
    if (narrow.matches) layout.dragmode = false;
    if (width <= SLIM && layout.meta && layout.meta.slant) {
      layout.xaxis.tickangle = -55;
      layout.margin.t += layout.meta.slant;
      layout.height += layout.meta.slant;
      layout.margin.l -= 14;
      layout.margin.r += 22;
    }
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
    if (chosen.value === "gil") {
      return meta.gil.map((g) => mix(css("--gil-none"), css("--gil-all"), Math.min(1, g)));
    }
    const kinds = [css("--library"), css("--own"), css("--plain")];
    return meta.kind.map((kind) => kinds[kind]);
  }

  async function draw(element) {
    const figure = data.figures[element.dataset.figure];
    const layout = themed(figure, element.clientWidth);
    let traces = figure.data;
    if (layout.meta && layout.meta.gil) {
      const marker = { colors: flameColours(layout.meta) };
      marker.line = { width: 1, color: css("--paper") };
      traces = traces.map((trace) => ({ ...trace, marker, root: { color: "rgba(0,0,0,0)" } }));
      delete layout.meta;
    }
    element.style.height = `${layout.height}px`;
    await Plotly.react(element, traces, layout, config);
    element.dataset.drawn = element.dataset.figure;
  }

  async function drawAll() {
    for (const element of document.querySelectorAll(".figure")) {
      await draw(element);
      await new Promise((resolve) => setTimeout(resolve));
    }
    document.documentElement.dataset.drawn = "all";
  }

  function flameControls() {
    const figure = document.getElementById("flame-figure");
    if (!figure) return;
    const select = document.getElementById("flame-stage");
    select.addEventListener("change", () => {
      figure.dataset.figure = select.value;
      Plotly.purge(figure);
      draw(figure);
    });
    for (const radio of document.querySelectorAll("input[name=flame-colour]")) {
      radio.addEventListener("change", () => {
        document.getElementById("flame-key-kind").hidden = radio.value !== "kind";
        document.getElementById("flame-key-gil").hidden = radio.value !== "gil";
        draw(figure);
      });
    }
  }

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

  const contents = document.querySelector("nav details");
  const wide = matchMedia("(min-width: 1100px)");
  const unfold = () => { contents.open = wide.matches; };
  if (contents) {
    wide.addEventListener("change", unfold);
    unfold();
  }

  document.querySelectorAll("table[data-sortable]").forEach(sortable);
  document.querySelectorAll("input[data-filters]").forEach(filterable);
  flameControls();
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);
  drawAll();
})();
