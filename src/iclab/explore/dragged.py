"""Points that can be dragged up and down, for notebooks and for the explorer."""

from __future__ import annotations

import anywidget
import traitlets

_SCRIPT = """
function render({ model, el }) {
  const W = 600, H = 280, left = 44, right = 12, top = 10, bottom = 30, NS = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
  svg.style.cssText = "width:100%;touch-action:none;user-select:none";
  el.appendChild(svg);
  const add = (kind, attributes, text) => {
    const node = document.createElementNS(NS, kind);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    svg.appendChild(node);
    return node;
  };
  let held = null;
  const ys = () => model.get("values"), span = () => model.get("span");
  const px = i => left + (i + 0.5) * (W - left - right) / ys().length;
  const py = y => top + (span() - y) * (H - top - bottom) / (2 * span());
  function draw() {
    svg.replaceChildren();
    for (const tick of [-span(), -span() / 2, 0, span() / 2, span()]) {
      add("line", { x1: left, x2: W - right, y1: py(tick), y2: py(tick), stroke: "currentColor", opacity: 0.15 });
      add("text", { x: left - 6, y: py(tick) + 4, "text-anchor": "end", "font-size": 11, fill: "currentColor" },
          String(Math.round(tick * 10) / 10));
    }
    add("text", { x: (left + W - right) / 2, y: H - 8, "text-anchor": "middle", "font-size": 11, fill: "currentColor" },
        "example (drag its label)");
    ys().forEach((y, i) => {
      const moved = Math.abs(y - model.get("drawn")[i]) > 1e-9;
      const shown = Math.max(-span(), Math.min(span(), y));
      const point = add("circle", { cx: px(i), cy: py(shown), r: 6, fill: moved ? "#d55e00" : "#0072b2", tabindex: 0,
                                    role: "slider", "aria-label": `label of example ${i + 1}`, "aria-valuenow": y,
                                    "data-example": i });
      point.style.cursor = "ns-resize";
      point.addEventListener("pointerdown", event => { held = i; svg.setPointerCapture(event.pointerId); });
      point.addEventListener("keydown", event => {
        const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
        if (step) { event.preventDefault(); set(i, y + step * span() / 20, true, true); }
      });
    });
  }
  function set(i, y, save, focus) {
    const values = ys().slice();
    values[i] = Math.round(1000 * Math.max(-span(), Math.min(span(), y))) / 1000;
    model.set("values", values);
    draw();
    if (focus) svg.querySelector(`[data-example="${i}"]`).focus();
    if (save) model.save_changes();
  }
  svg.addEventListener("pointermove", event => {
    if (held === null) return;
    const box = svg.getBoundingClientRect(), at = (event.clientY - box.top) * H / box.height;
    set(held, span() - (at - top) * 2 * span() / (H - top - bottom), false);
  });
  svg.addEventListener("pointerup", () => { if (held !== null) { held = null; model.save_changes(); } });
  model.on("change:values", draw);
  draw();
}
export default { render };
"""


class Dragged(anywidget.AnyWidget):
    """Numbers as points that can be dragged up and down, or moved by the arrow keys.

    Attributes
    ----------
    values : list of float
        The numbers as they are now.
    drawn : list of float
        The numbers at the beginning; those that were moved have another colour.
    span : float
        The largest size that can be shown.
    """

    _esm = _SCRIPT
    values = traitlets.List(traitlets.Float()).tag(sync=True)
    drawn = traitlets.List(traitlets.Float()).tag(sync=True)
    span = traitlets.Float(10.0).tag(sync=True)
