// Maps: points drawn from one small picture per class; 10,000 of them take a few milliseconds a frame.
(() => {
  // Okabe and Ito's colours, told apart by most eyes; real images grey; further classes repeat them in other shapes.
  const REAL = "#6b7280"; // as in the figures, and so are the others
  const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c6bb1"];
  const REST = { colour: "#a9adb5", shape: "circle" };
  const PALE = { colour: "#9ca3af", shape: "circle" };
  const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
  const STEPS = 64; // of a scale
  // Corners, in radii; the circle has none.
  const star = (n, inner, outer, turn) => Array.from({ length: 2 * n }, (_, i) => {
    const r = i % 2 ? inner : outer, angle = Math.PI * (i / n - .5 + turn);
    return [r * Math.cos(angle), r * Math.sin(angle)];
  });
  const plus = [[-1, -3], [1, -3], [1, -1], [3, -1], [3, 1], [1, 1], [1, 3], [-1, 3], [-1, 1], [-3, 1], [-3, -1], [-1, -1]].map(([x, y]) => [x * .4, y * .4]);
  const SHAPES = {
    circle: null,
    up: [[0, -1.2], [1.05, .75], [-1.05, .75]],
    square: [[-.88, -.88], [.88, -.88], [.88, .88], [-.88, .88]],
    diamond: [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
    down: [[0, 1.2], [1.05, -.75], [-1.05, -.75]],
    plus,
    cross: plus.map(([x, y]) => [(x - y) * Math.SQRT1_2, (x + y) * Math.SQRT1_2]),
    star: star(5, .55, 1.35, 0),
    left: [[-1.2, 0], [.75, 1.05], [.75, -1.05]],
  };
  const SHAPE_NAMES = Object.keys(SHAPES);
  const REACH = 14; // px from the pointer to the nearest point
  const WIDEST = 400; // times the zoom that shows all

  const element = (name, text = "") => Object.assign(document.createElement(name), { textContent: text });
  const numeral = new Intl.NumberFormat("en");

  function draw(context, shape, x, y, r) {
    context.beginPath();
    const corners = SHAPES[shape];
    if (!corners) return context.arc(x, y, r, 0, 2 * Math.PI);
    for (const [dx, dy] of corners) context.lineTo(x + dx * r, y + dy * r);
    context.closePath();
  }

  function looks({ classes, rest, colours }) {
    let next = 0;
    return classes.map((name, code) => {
      if (colours[name]) return { colour: colours[name], shape: "circle" };
      if (name === "real") return { colour: REAL, shape: "circle" };
      if (rest && code === classes.length - 1) return REST;
      const i = next++;
      return { colour: COLOURS[i % COLOURS.length], shape: SHAPE_NAMES[Math.floor(i / COLOURS.length) % SHAPE_NAMES.length] };
    });
  }

  function mixed(share) {
    const at = share * (VIRIDIS.length - 1), i = Math.min(Math.floor(at), VIRIDIS.length - 2);
    const [a, b] = [VIRIDIS[i], VIRIDIS[i + 1]].map((hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)));
    return `rgb(${a.map((from, k) => Math.round(from + (b[k] - from) * (at - i))).join(" ")})`;
  }

  // A scale as classes: so many steps, and one for points without a value.
  function stepped(colouring) {
    const known = colouring.values.filter((value) => value !== null);
    const [low, high] = extent(known);
    const step = (value) => Math.min(STEPS - 1, Math.floor(STEPS * (value - low) / (high - low || 1)));
    return Object.assign(colouring, {
      low, high, without: colouring.values.length - known.length,
      codes: colouring.values.map((value) => value === null ? STEPS : step(value)),
      looks: [...Array.from({ length: STEPS }, (_, i) => ({ colour: mixed((i + .5) / STEPS), shape: "circle" })), REST],
    });
  }

  const extent = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);

  function sprite(look, radius, ratio) {
    const side = Math.ceil((radius * 2.6 + 2) * ratio);
    const picture = Object.assign(document.createElement("canvas"), { width: side, height: side });
    const context = picture.getContext("2d");
    draw(context, look.shape, side / 2, side / 2, radius * ratio);
    context.fillStyle = look.colour;
    context.fill();
    return picture;
  }

  // A fixed shuffle, so that no class covers the others just because it was drawn last.
  function shuffled(n) {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    let state = 1;
    for (let i = n - 1; i > 0; i--) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const j = Math.floor((state / 2 ** 32) * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  function mountMap(root) {
    const data = JSON.parse(root.querySelector("[data-points]").textContent);
    const n = data.paths.length;
    const [canvas, stage, card] = ["canvas", ".map-stage", "[data-card]"].map((css) => root.querySelector(css));
    const [search, found, classList] = ["[data-search]", "[data-found]", "[data-classes]"].map((css) => root.querySelector(css));
    const context = canvas.getContext("2d");
    const generators = data.colourings.find(({ name }) => name === "generator");
    const generator = (i) => generators?.classes?.[generators.codes[i]] ?? "";
    const lowered = data.paths.map((path, i) => `${data.prefix}${path}\n${generator(i)}`.toLowerCase());
    const order = shuffled(n);
    const earlier = root.querySelector("[data-earlier]"); // the switch of the first points, which are background
    const [[x0, x1], [y0, y1]] = n ? [extent(data.x), extent(data.y)] : [[0, 1], [0, 1]];

    const state = { colouring: data.colourings[0], looks: [], hidden: new Set(), matches: null, picked: -1, pinned: false, step: -1 };
    const view = { scale: 1, x: 0, y: 0, fit: 1, width: 0, height: 0, ratio: 1 }; // screen = data · scale + (x, −y)
    let waiting = false;

    const screen = (i) => [data.x[i] * view.scale + view.x, -data.y[i] * view.scale + view.y];
    const muted = (i) => i < data.muted;
    const visible = (i) => muted(i) ? earlier.checked : !state.hidden.has(state.colouring.codes[i]);
    const value = ({ classes, codes, values }, i) => classes ? classes[codes[i]] : values[i] === null ? "–" : String(values[i]);

    function redraw() {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; paint(); });
    }

    function paint() {
      const { ratio, width, height } = view;
      const radius = Math.max(1.6, Math.min(4.2, 90 / Math.sqrt(n || 1))) * Math.min(2, (view.scale / view.fit) ** .25);
      const sprites = state.looks.map((look) => sprite(look, radius, ratio));
      const pale = sprite(PALE, radius * .8, ratio);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, canvas.width, canvas.height);
      for (const layer of layers()) {
        context.globalAlpha = layer.alpha;
        for (const i of order) {
          if (muted(i) !== layer.muted || !visible(i) || (state.matches && state.matches.has(i) !== layer.found)) continue;
          const x = data.x[i] * view.scale + view.x;
          const y = -data.y[i] * view.scale + view.y;
          if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
          const picture = layer.muted ? pale : sprites[state.colouring.codes[i]];
          context.drawImage(picture, Math.round(x * ratio - picture.width / 2), Math.round(y * ratio - picture.height / 2));
        }
      }
      context.globalAlpha = 1;
      if (state.picked >= 0 && visible(state.picked)) {
        const [x, y] = screen(state.picked);
        context.lineWidth = 2 * ratio;
        context.strokeStyle = getComputedStyle(stage).color;
        draw(context, "circle", x * ratio, y * ratio, (radius + 4) * ratio);
        context.stroke();
        placeCard(x, y);
      }
    }

    // From the bottom: the background, what does not match a search, what is looked for.
    function layers() {
      const every = [];
      for (const found of state.matches ? [false, true] : [undefined]) {
        if (data.muted) every.push({ muted: true, found, alpha: found === false ? .05 : found ? .8 : .3 });
        every.push({ muted: false, found, alpha: found === false ? .1 : .8 });
      }
      return every;
    }

    function placeCard(x, y) {
      const left = x + 16 + card.offsetWidth > view.width ? x - 16 - card.offsetWidth : x + 16;
      card.style.left = `${Math.max(4, Math.min(left, view.width - card.offsetWidth - 4))}px`;
      card.style.top = `${Math.max(4, Math.min(y - card.offsetHeight / 2, view.height - card.offsetHeight - 4))}px`;
    }

    function pick(i, pinned = false) {
      if (i === state.picked && pinned === state.pinned) return;
      Object.assign(state, { picked: i, pinned });
      card.hidden = i < 0;
      if (i >= 0) {
        const others = data.colourings.filter((each) => each !== generators);
        const lines = [element("strong", generator(i)), ...others.map((each) => element("div", `${each.name}: ${value(each, i)}`))];
        const thumbnail = data.thumbnails[i];
        const picture = thumbnail ? [Object.assign(new Image(), { src: `data:image/jpeg;base64,${thumbnail}`, alt: "" })] : [];
        if (picture.length) picture[0].addEventListener("load", redraw);
        card.replaceChildren(...picture, ...lines, element("div", data.prefix + data.paths[i]));
        card.lastChild.className = "muted";
      }
      redraw();
    }

    function nearest(x, y, reach = REACH) {
      let [best, distance] = [-1, reach ** 2];
      for (let i = 0; i < n; i++) {
        const dx = data.x[i] * view.scale + view.x - x;
        const dy = -data.y[i] * view.scale + view.y - y;
        const d = dx * dx + dy * dy;
        if (d < distance && visible(i) && (!state.matches || state.matches.has(i))) [best, distance] = [i, d];
      }
      return best;
    }

    function showAll() {
      const margin = 28;
      view.fit = Math.min((view.width - 2 * margin) / (x1 - x0 || 1), (view.height - 2 * margin) / (y1 - y0 || 1));
      view.scale = view.fit;
      view.x = view.width / 2 - ((x0 + x1) / 2) * view.scale;
      view.y = view.height / 2 + ((y0 + y1) / 2) * view.scale;
      redraw();
    }

    function zoom(factor, x = view.width / 2, y = view.height / 2) {
      const scale = Math.max(view.fit / 4, Math.min(view.fit * WIDEST, view.scale * factor));
      view.x = x - (x - view.x) * (scale / view.scale);
      view.y = y - (y - view.y) * (scale / view.scale);
      view.scale = scale;
      redraw();
    }

    function move(dx, dy) {
      view.x += dx;
      view.y += dy;
      redraw();
    }

    function resize() {
      const first = view.width === 0;
      const centre = first ? null : [(view.width / 2 - view.x) / view.scale, (view.height / 2 - view.y) / view.scale];
      const ratio = Math.min(devicePixelRatio || 1, 3);
      Object.assign(view, { width: stage.clientWidth, height: stage.clientHeight, ratio });
      canvas.width = Math.round(view.width * ratio);
      canvas.height = Math.round(view.height * ratio);
      if (first) return showAll();
      view.x = view.width / 2 - centre[0] * view.scale;
      view.y = view.height / 2 - centre[1] * view.scale;
      redraw();
    }

    function colourBy(colouring) {
      if (colouring.values && !colouring.codes) stepped(colouring);
      Object.assign(state, { colouring, hidden: new Set(), looks: colouring.looks ?? looks(colouring) });
      root.querySelector("[data-all]").hidden = !colouring.classes;
      classList.replaceChildren(...colouring.classes ? switches(colouring) : [bar(colouring)]);
      report();
      redraw();
    }

    function switches({ classes, codes }) {
      const counts = classes.map(() => 0);
      for (let i = data.muted; i < n; i++) counts[codes[i]]++;
      return classes.map((name, code) => {
        const label = element("label");
        const box = Object.assign(element("input"), { type: "checkbox", checked: true, value: name });
        box.addEventListener("change", () => toggle(box, code));
        label.append(box, sprite(state.looks[code], 5, 2), Object.assign(element("span", name), { title: name }), element("span", numeral.format(counts[code])));
        return label;
      });
    }

    function bar({ low, high, without }) {
      const scale = Object.assign(element("div"), { className: "map-bar" });
      const colours = element("i");
      colours.style.background = `linear-gradient(to right, ${VIRIDIS.join(", ")})`;
      scale.append(element("span", String(low)), colours, element("span", String(high)));
      if (without) scale.append(element("p", `${numeral.format(without)} without a value, grey`));
      return scale;
    }

    function toggle(box, code) {
      state.hidden[box.checked ? "delete" : "add"](code);
      changed();
    }

    function changed() {
      if (state.picked >= 0 && !visible(state.picked)) pick(-1);
      report();
      redraw();
    }

    function lookFor(text) {
      const wanted = text.trim().toLowerCase();
      state.matches = wanted ? new Set(order.filter((i) => lowered[i].includes(wanted)).sort((a, b) => a - b)) : null;
      state.step = -1;
      pick(-1);
      report();
      redraw();
    }

    function report() {
      let shown = 0;
      for (let i = 0; i < n; i++) shown += visible(i) && (!state.matches || state.matches.has(i));
      const ending = state.matches ? (shown ? " match; Enter shows the next" : " match") : " shown";
      found.textContent = `${numeral.format(shown)} of ${numeral.format(n)}${ending}`;
    }

    function nextMatch() {
      const candidates = state.matches ? [...state.matches].filter(visible) : [];
      if (!candidates.length) return;
      state.step = (state.step + 1) % candidates.length;
      keep(candidates[state.step], `${numeral.format(state.step + 1)} of ${numeral.format(candidates.length)}: `);
    }

    // Shows a point that was chosen without a pointer, and says which.
    function keep(i, lead = "") {
      if (i < 0) return;
      const [x, y] = screen(i);
      if (x < 0 || y < 0 || x > view.width || y > view.height) move(view.width / 2 - x, view.height / 2 - y);
      pick(i, true);
      found.textContent = `${lead}${data.prefix + data.paths[i]} (${generator(i)})`;
    }

    // The nearest point within a right angle around the direction.
    function step(dx, dy) {
      const [x0, y0] = state.picked >= 0 ? screen(state.picked) : [view.width / 2, view.height / 2];
      let [best, distance] = [-1, Infinity];
      for (let i = 0; i < n; i++) {
        if (i === state.picked || !visible(i) || (state.matches && !state.matches.has(i))) continue;
        const [x, y] = screen(i);
        const along = (x - x0) * dx + (y - y0) * dy, across = Math.abs((x - x0) * dy) + Math.abs((y - y0) * dx);
        if (along <= 0 || across > along) continue;
        if (along + across < distance) [best, distance] = [i, along + across];
      }
      keep(best);
    }

    const pointers = new Map();
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    let travelled = 0;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, at(event));
      travelled = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const [x, y] = at(event);
      const before = pointers.get(event.pointerId);
      if (!before) return state.pinned ? undefined : pick(nearest(x, y));
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const span = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
        zoom(span([x, y]) / span(before), (x + other[0]) / 2, (y + other[1]) / 2);
      } else move(x - before[0], y - before[1]);
      travelled += Math.abs(x - before[0]) + Math.abs(y - before[1]);
      canvas.classList.toggle("dragging", travelled > 4);
      pointers.set(event.pointerId, [x, y]);
    });
    const release = (event) => {
      pointers.delete(event.pointerId);
      canvas.classList.remove("dragging");
    };
    canvas.addEventListener("pointerup", (event) => {
      if (pointers.size === 1 && travelled <= 4) {
        const i = nearest(...at(event));
        pick(i, i >= 0);
      }
      release(event);
    });
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => { if (!state.pinned) pick(-1); });
    canvas.addEventListener("dblclick", (event) => zoom(2, ...at(event)));
    canvas.addEventListener("wheel", (event) => {
      if (root.dataset.wheel !== "always" && document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * (event.deltaMode ? .05 : .0018)), ...at(event));
    }, { passive: false });
    const keys = {
      ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
      "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: showAll, Escape: () => pick(-1),
      Enter: () => keep(nearest(view.width / 2, view.height / 2, Infinity)),
    };
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      if (event.shiftKey && steps[event.key]) step(...steps[event.key]);
      else keys[event.key]();
    });
    const buttons = { in: () => zoom(1.6), out: () => zoom(1 / 1.6), reset: showAll };
    for (const button of root.querySelectorAll("[data-zoom]")) button.addEventListener("click", buttons[button.dataset.zoom]);
    for (const button of root.querySelectorAll("[data-show]")) {
      button.addEventListener("click", () => {
        state.hidden = new Set(button.dataset.show === "none" ? state.colouring.classes.keys() : []);
        for (const box of classList.querySelectorAll("input")) box.checked = button.dataset.show === "all";
        changed();
      });
    }
    earlier?.addEventListener("change", changed);
    search.addEventListener("input", () => lookFor(search.value));
    search.addEventListener("keydown", (event) => { if (event.key === "Enter") nextMatch(); });

    if (data.colourings.length > 1) {
      const choice = root.querySelector("[data-colour]");
      choice.append(...data.colourings.map(({ name }, i) => Object.assign(element("option", name), { value: String(i) })));
      choice.addEventListener("change", () => colourBy(data.colourings[Number(choice.value)]));
      root.querySelector("[data-colour-field]").hidden = false;
    }
    document.addEventListener("themechange", redraw);
    new ResizeObserver(resize).observe(stage);
    colourBy(state.colouring);
    resize();
  }

  for (const root of document.querySelectorAll("[data-map]")) mountMap(root);
})();
