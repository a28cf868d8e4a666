// Adds pointer and keyboard readouts to the charts and moves the attention maps through the layers.
// Everything on the page can be read without this script.
"use strict";

function readout(chart) {
  const rows = JSON.parse(chart.dataset.readout);
  if (!rows.length) return;
  const box = Object.assign(document.createElement("div"), { className: "readout", hidden: true });
  box.setAttribute("aria-live", "polite");
  chart.parentElement.append(box);
  const view = chart.viewBox.baseVal;
  const cursor = document.createElementNS(chart.namespaceURI, "path");
  cursor.setAttribute("class", "cursor");
  let at = 0;

  function show(index) {
    at = Math.max(0, Math.min(rows.length - 1, index));
    const [x, heading, values] = rows[at];
    cursor.setAttribute("d", `M${x} 10V${view.height - 40}`);
    chart.append(cursor);
    const title = Object.assign(document.createElement("b"), { textContent: heading });
    const lines = values.map(([name, value]) =>
      Object.assign(document.createElement("div"), { textContent: `${name}: ${value}` }));
    box.replaceChildren(title, ...lines);
    box.hidden = false;
    const width = chart.getBoundingClientRect().width;
    const left = (x / view.width) * width;
    box.style.left = `${Math.max(0, left + 14 + box.offsetWidth > width ? left - box.offsetWidth - 14 : left + 14)}px`;
  }
  function hide() {
    box.hidden = true;
    cursor.remove();
  }
  chart.addEventListener("pointermove", (event) => {
    const frame = chart.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * view.width;
    const gaps = rows.map((row) => Math.abs(row[0] - x));
    show(gaps.indexOf(Math.min(...gaps)));
  });
  chart.addEventListener("pointerleave", hide);
  chart.addEventListener("focus", () => chart.matches(":focus-visible") && show(at));
  chart.addEventListener("blur", hide);
  chart.addEventListener("keydown", (event) => {
    const target = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: rows.length - 1 }[event.key];
    if (event.key === "Escape") hide();
    if (target === undefined) return;
    event.preventDefault();
    show(target);
  });
}
document.querySelectorAll(".chart[data-readout]").forEach(readout);

const section = document.getElementById("attention");
if (section) {
  const layers = section.querySelector("#attention-layer");
  const mix = section.querySelector("#attention-mix");
  const stored = JSON.parse(section.querySelector("script[type='application/json']").textContent);
  section.querySelector(".controls").hidden = false;
  layers.addEventListener("input", () => {
    const layer = stored.layers[Number(layers.value)];
    layers.setAttribute("aria-valuetext", `layer ${layer}`);
    section.querySelector("output").value = layer;
    section.querySelectorAll(".attention").forEach((figure, image) => {
      figure.querySelectorAll(".of-model img").forEach((map, head) => {
        map.src = stored.maps[image][layer][head];
        map.alt = map.alt.replace(/layer \d+/, `layer ${layer}`);
      });
      figure.querySelectorAll(".of-model .text").forEach((text, head) => {
        const shades = stored.maps[image][layer][head];
        [...text.children].forEach((token, place) => {
          token.className = token.className.replace(/^m\d/, `m${shades[place]}`);
        });
      });
    });
  });
  mix?.addEventListener("input", () => section.style.setProperty("--mix", mix.value / 100));
}
