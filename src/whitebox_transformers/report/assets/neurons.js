// Sorts, filters and walks the list of coefficients. Everything can be read without this script.
(() => {
  const list = document.querySelector(".neurons");
  const form = document.querySelector("form.controls");
  const [search, sort, layer, count] = ["search", "sort", "layer", "count"].map((id) => document.getElementById(id));
  const entries = [...list.children].map((node) => ({ node, text: null, ...node.dataset }));
  const numeric = (key) => (entry) => Number(entry[key]);
  const down = (key) => (a, b) => numeric(key)(b) - numeric(key)(a) || natural(a, b);
  const natural = (a, b) => a.layer - b.layer || a.index - b.index;
  const orders = { effect: down("effect"), share: down("share"), largest: down("largest"), layer: natural };

  function text(entry) {
    // Read once, when somebody searches.
    entry.text ??= entry.node.textContent.toLowerCase();
    return entry.text;
  }
  function update() {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    entries.sort(orders[sort.value]);
    for (const entry of entries) {
      const fits = (!layer.value || entry.layer === layer.value) && (!wanted || text(entry).includes(wanted));
      entry.node.hidden = !fits;
      shown += fits;
    }
    list.append(...entries.map((entry) => entry.node));
    count.textContent = shown === entries.length ? `${shown} shown` : `${shown} of ${entries.length} shown`;
  }
  function step(by) {
    const visible = entries.filter((entry) => !entry.node.hidden).map((entry) => entry.node);
    const at = visible.findIndex((node) => node.contains(document.activeElement));
    const next = visible[at < 0 ? (by > 0 ? 0 : visible.length - 1) : at + by];
    if (next) {
      next.firstElementChild.focus();
      next.scrollIntoView({ block: "nearest" });
    }
  }
  function open() {
    const target = document.getElementById(location.hash.slice(1));
    if (target?.matches(".neuron")) {
      target.open = true;
      target.scrollIntoView();
    }
  }
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  [search, sort, layer].forEach((control) => control.addEventListener("input", update));
  list.addEventListener("toggle", (event) => {
    if (event.target.open) history.replaceState(null, "", `#${event.target.id}`);
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const move = { j: 1, k: -1 }[event.key];
    if (move) step(move);
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
    }
  });
  addEventListener("hashchange", open);
  update();
  open();
})();
