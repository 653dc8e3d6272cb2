// Matrices: one tab stop each, arrow keys inside; the panel beside a matrix follows pointer and focus.
(() => {
  const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });

  function mountMatrix(figure) {
    const { layers, details, shown: first } = JSON.parse(figure.querySelector("[data-cells]").textContent);
    const cells = [...figure.querySelectorAll("td[data-row]")];
    const panel = figure.querySelector("[data-details]");
    const rows = [...figure.querySelectorAll("tbody th[scope=row]")].map((th) => th.textContent);
    const columns = [...figure.querySelectorAll("thead th[scope=col]")].map((th) => th.textContent);
    const rowAxis = figure.querySelector("th[scope=rowgroup]").textContent.trim();
    const columnAxis = figure.querySelector("th[scope=colgroup]").textContent.trim().toLowerCase();
    const place = (cell) => [Number(cell.dataset.row), Number(cell.dataset.column)];

    let layer = layers[first];
    let shown = null;

    function show(cell) {
      const [r, c] = place(cell);
      shown = cell;
      for (const other of cells) other.classList.toggle("shown", other === cell);
      const list = document.createElement("dl");
      for (const [term, text] of [[layer.label, layer.text[r][c]], ...details[r][c]]) {
        const line = document.createElement("div");
        line.append(element("dt", term), element("dd", text));
        list.append(line);
      }
      list.firstChild.className = "value";
      panel.replaceChildren(element("h4", `${rowAxis} ${rows[r]}, ${columnAxis} ${columns[c]}`), list);
    }

    function select(name) {
      if (!layers[name]) return;
      layer = layers[name];
      figure.querySelector("[data-layer]").textContent = layer.label;
      for (const cell of cells) {
        const [r, c] = place(cell);
        const tint = layer.tint[r][c];
        cell.textContent = layer.text[r][c];
        if (tint === null) delete cell.dataset.side;
        else cell.dataset.side = tint < 0 ? "below" : "above";
        cell.style.setProperty("--t", Math.abs(tint ?? 0));
      }
      if (shown) show(shown);
    }

    // Beside the four arrows, the ends of a row and the corners of the matrix, as in any grid.
    const target = (event, [r, c]) => {
      if (event.key === "Home") return [event.ctrlKey ? 0 : r, 0];
      if (event.key === "End") return [event.ctrlKey ? rows.length - 1 : r, columns.length - 1];
      const step = steps[event.key];
      return step && [r + step[0], c + step[1]];
    };
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    for (const cell of cells) {
      cell.addEventListener("pointerenter", () => show(cell));
      cell.addEventListener("focus", () => show(cell));
      cell.addEventListener("click", () => cell.focus());
      cell.addEventListener("keydown", (event) => {
        const to = target(event, place(cell));
        if (!to) return;
        const next = cells.find((other) => place(other)[0] === to[0] && place(other)[1] === to[1]);
        event.preventDefault();
        if (!next || next === cell) return;
        cell.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      });
    }
    return select;
  }

  const selectors = new Map([...document.querySelectorAll("[data-matrix]")].map((figure) => [figure, mountMatrix(figure)]));

  for (const group of document.querySelectorAll("[data-metrics]")) {
    group.addEventListener("change", (event) => {
      if (event.target.type !== "radio") return;
      for (const figure of group.querySelectorAll("[data-matrix]")) selectors.get(figure)(event.target.value);
    });
  }

  for (const button of document.querySelectorAll("[data-copy]")) {
    const code = button.parentElement.querySelector("code");
    const said = button.querySelector("[data-said]");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        said.textContent = "Copied";
      } catch {
        code.hidden = false;
        getSelection().selectAllChildren(code); // the browser keeps the clipboard to itself: one key press is left
        said.textContent = "Press Ctrl+C";
      }
      setTimeout(() => { said.textContent = "Copy"; }, 2000);
    });
  }

  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const visible = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) visible[isIntersecting ? "add" : "delete"](target.id);
    const first = [...links.keys()].find((id) => visible.has(id));
    for (const [id, link] of links) id === first ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  }, { rootMargin: "-10% 0px -70% 0px" });
  for (const section of document.querySelectorAll("main > section")) observer.observe(section);

  // On paper nothing scrolls: what is folded opens, but for raw tables, and what is too wide is made to fit.
  const PAPER = 186 * 96 / 25.4; // CSS pixels between the margins of A4
  const SCREEN = 10.5 / 16; // the letters of print against those of the screen
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open], .raw)")];
    for (const details of opened) details.open = true;
    for (const table of document.querySelectorAll(".scroll > table")) {
      const fit = Math.min(1, PAPER / (table.scrollWidth * SCREEN));
      table.style.setProperty("--fit", fit.toFixed(3));
    }
  });
  addEventListener("afterprint", () => { for (const details of opened) details.open = false; });
})();
