
// The chapter "Explore": one sample at a time through layers and heads.
(() => {
  const section = document.getElementById("explore");
  if (!section) return;
  const data = JSON.parse(section.querySelector("script[type='application/json']").textContent);
  const part = (name) => document.getElementById(`explore-${name}`);
  const bytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const style = (name) => getComputedStyle(section).getPropertyValue(name).trim();
  const wholes = (text) => new Int16Array(bytes(text).buffer);
  for (const sample of data.samples) {
    sample.rows = bytes(sample.rows);
    sample.clusters = bytes(sample.clusters);
    if (sample.picture) {
      sample.image = new Image();
      sample.image.onload = () => draw();
      sample.image.src = sample.picture;
    }
  }
  const heads = data.samples[0].rows.length / data.layers.length / data.samples[0].tokens;
  const any = data.projections;
  if (any) {
    any.queries = wholes(any.queries);
    any.keys = any.keys ? wholes(any.keys) : any.queries;
    any.keysStep ??= any.queriesStep;
    any.allowed = any.allowed && bytes(any.allowed);
  }
  const state = { sample: 0, layer: data.layers.indexOf(data.first), head: 0, token: data.samples[0].query };

  // Attention of one token of the first sample, from its projections u.
  function computed(token) {
    const { tokens } = data.samples[0];
    const { width, queries, keys, allowed } = any;
    const place = state.layer * heads + state.head;
    const start = place * tokens * width;
    const scale = any.scaling * any.queriesStep[state.layer][state.head] * any.keysStep[state.layer][state.head];
    const scores = Array.from({ length: tokens }, (_, key) => {
      const bit = token * tokens + key;
      if (allowed && !((allowed[bit >> 3] >> (bit & 7)) & 1)) return -Infinity;
      let sum = 0;
      for (let i = 0; i < width; i += 1)
        sum += queries[start + token * width + i] * keys[start + key * width + i];
      return sum * scale;
    });
    const most = Math.max(...scores);
    const shares = scores.map((score) => Math.exp(score - most));
    const total = shares.reduce((a, b) => a + b);
    return shares.map((share) => share / total);
  }

  function attention(sample) {
    if (any && state.sample === 0) return computed(state.token);
    const start = (state.layer * heads + state.head) * sample.tokens;
    const largest = sample.largest[state.layer][state.head];
    return Array.from(sample.rows.subarray(start, start + sample.tokens), (byte) => (byte / 255) * largest);
  }

  function clusters(sample) {
    const start = (data.layers[state.layer] - 1) * sample.tokens;
    return Array.from(sample.clusters.subarray(start, start + sample.tokens));
  }

  const special = (sample) => (sample.grid ? sample.tokens - sample.grid[0] * sample.grid[1] : 0);
  const label = (sample, token) => {
    if (!sample.grid) return `token ${token + 1}, “${sample.pieces[token].trim()}”`;
    const patch = token - special(sample);
    if (patch < 0) return data.query;
    return `patch in row ${Math.floor(patch / sample.grid[1]) + 1}, column ${(patch % sample.grid[1]) + 1}`;
  };

  // A picture with one colour and strength for every patch.
  function paint(view, sample, paints, chosen) {
    let canvas = view.querySelector("canvas");
    if (!canvas) {
      view.innerHTML = '<span class="special"><i></i><span></span></span><canvas></canvas>';
      canvas = view.querySelector("canvas");
    }
    const [rows, columns] = sample.grid;
    const [wide, tall] = sample.size;
    const side = 640;
    canvas.width = wide >= tall ? side : Math.round((side * wide) / tall);
    canvas.height = wide >= tall ? Math.round((side * tall) / wide) : side;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = Math.min(wide, tall) >= 96;
    pen.fillStyle = style("--card");
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.globalAlpha = 0.45;
    if (sample.image.complete) pen.drawImage(sample.image, 0, 0, canvas.width, canvas.height);
    const width = canvas.width / columns;
    const height = canvas.height / rows;
    const before = special(sample);
    paints.slice(before).forEach(({ color, strength, name }, patch) => {
      const x = (patch % columns) * width;
      const y = Math.floor(patch / columns) * height;
      pen.globalAlpha = strength;
      pen.fillStyle = color;
      pen.fillRect(x, y, width, height);
      if (name && width > 34) {
        pen.globalAlpha = 1;
        pen.fillStyle = style("--ink");
        pen.font = `${Math.min(30, width / 2.5)}px system-ui, sans-serif`;
        pen.fillText(name, x + 6, y + Math.min(30, height / 2.5) + 2);
      }
    });
    pen.globalAlpha = 1;
    if (chosen >= before) {
      pen.strokeStyle = style("--ink");
      pen.lineWidth = 5;
      const patch = chosen - before;
      pen.strokeRect((patch % columns) * width + 2.5, Math.floor(patch / columns) * height + 2.5, width - 5, height - 5);
    }
    const mark = view.querySelector(".special");
    const { color, strength, name } = paints[0];
    const box = mark.querySelector("i");
    box.style.background = `color-mix(in oklab, ${color} ${Math.round(100 * strength)}%, transparent)`;
    box.style.outline = chosen === 0 ? "2px solid var(--ink)" : "";
    box.textContent = name ?? "";
    mark.lastChild.textContent = data.query;
    canvas.onclick = (event) => {
      const frame = canvas.getBoundingClientRect();
      const column = Math.floor(((event.clientX - frame.left) / frame.width) * columns);
      const row = Math.floor(((event.clientY - frame.top) / frame.height) * rows);
      choose(before + row * columns + column);
    };
    mark.onclick = () => choose(0);
  }

  // A text with one colour and strength for every token.
  function write(view, sample, paints, chosen) {
    const text = Object.assign(document.createElement("span"), { className: "text" });
    sample.pieces.forEach((piece, token) => {
      const mark = Object.assign(document.createElement("mark"), { textContent: piece });
      const { color, strength, name } = paints[token];
      mark.style.setProperty("--hue", color);
      mark.style.setProperty("--depth", `${Math.round(60 * strength)}%`);
      if (token === chosen) mark.classList.add("at");
      if (name) mark.append(Object.assign(document.createElement("sub"), { textContent: name }));
      mark.onclick = () => choose(token);
      text.append(mark);
    });
    const old = view.firstChild;
    const scrolled = old?.scrollTop ?? 0;
    view.replaceChildren(text);
    text.scrollTop = scrolled;
  }

  function curves(sample) {
    const layer = data.layers[state.layer];
    section.querySelectorAll(".followed").forEach((figure) => {
      const values = sample.curves[figure.dataset.measure];
      const low = Math.min(...values);
      const high = Math.max(...values);
      const x = (at) => 6 + (at * 228) / Math.max(values.length - 1, 1);
      const y = (value) => (high > low ? 84 - ((value - low) * 70) / (high - low) : 49);
      const line = values.map((value, at) => `${at ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
      figure.querySelector("svg").innerHTML =
        `<path d="${line}"/><path class="now" d="M${x(layer - 1)} 8V90"/>` +
        `<circle class="role-train" cx="${x(layer - 1)}" cy="${y(values[layer - 1])}" r="4" style="--line:var(--train)"/>`;
      figure.querySelector("small").textContent = `${short(low)} to ${short(high)}`;
      figure.querySelector("output").value = short(values[layer - 1]);
    });
  }
  const short = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(3));

  function draw() {
    const sample = data.samples[state.sample];
    const free = any && state.sample === 0;
    const chosen = free ? state.token : sample.query;
    const layer = data.layers[state.layer];
    const weights = attention(sample);
    const own = sample.grid && chosen === 0;
    // As in the figures, the class token's share in itself does not set the scale.
    const most = Math.max(...weights.slice(own ? 1 : 0)) || 1;
    const hue = style("--train");
    const show = sample.grid ? paint : write;
    show(part("attention"), sample, weights.map((weight) => ({ color: hue, strength: 0.88 * Math.min(weight / most, 1) })), chosen);
    const groups = clusters(sample);
    show(part("clusters"), sample, groups.map((group) => ({ color: style(`--cluster-${group % 6}`), strength: 0.72, name: `${group + 1}` })), -1);
    curves(sample);
    section.classList.toggle("any", Boolean(free));
    part("attention-title").textContent = `Attention of the ${free && chosen !== sample.query ? label(sample, chosen) : data.query}, layer ${layer}, head ${state.head + 1}`;
    part("clusters-title").textContent = `Clusters of tokens entering layer ${layer}`;
    const reset = part("reset");
    reset.hidden = !free || chosen === sample.query;
    reset.textContent = `Back to the ${data.query}`;
    const best = weights.map((weight, token) => [weight, token]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    part("said").textContent = `Layer ${layer}, head ${state.head + 1}: looks most at ` +
      best.map(([weight, token]) => `${label(sample, token)} (${(100 * weight).toFixed(1)} %)`).join(", ") +
      `. ${new Set(groups).size} clusters.`;
    for (const [name, text] of [["layer", layer], ["head", state.head + 1]]) {
      const input = part(name);
      input.value = state[name];
      input.setAttribute("aria-valuetext", `${name} ${text}`);
      input.nextElementSibling.value = text;
    }
  }

  function choose(token) {
    if (!any || state.sample !== 0) return;
    state.token = Math.max(0, Math.min(data.samples[0].tokens - 1, token));
    draw();
  }

  for (const name of ["layer", "head"])
    part(name).addEventListener("input", (event) => { state[name] = Number(event.target.value); draw(); });
  part("sample").addEventListener("change", (event) => {
    state.sample = Number(event.target.value);
    part("attention").replaceChildren();
    part("clusters").replaceChildren();
    draw();
  });
  part("reset").addEventListener("click", () => { choose(data.samples[0].query); part("attention").focus(); });
  for (const name of ["attention", "clusters"])
    part(name).addEventListener("keydown", (event) => {
      const sample = data.samples[0];
      const row = sample.grid ? sample.grid[1] : 1;
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row }[event.key];
      const target = { Home: 0, End: sample.tokens - 1 }[event.key] ?? (step && state.token + step);
      if (target === undefined || !any || state.sample !== 0) return;
      event.preventDefault();
      choose(target);
    });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  section.querySelector(".explorer").hidden = false;
  draw();
})();
