// The canvas: grey levels, outlines and what a tool draws, at any enlargement.
//
// Below VECTORS_FROM screen pixels an image pixel, outlines are a bitmap of their border pixels that is kept at three
// sizes, so that a redraw copies one picture however many outlines there are. Above, the few outlines in sight are stroked.

import { coverOf } from "./outlines.js";

const VECTORS_FROM = 3;
const LEVELS = [1, 2, 4]; // image pixels a pixel of the kept pictures
const SELECTED = [255, 255, 255];
const NO_PARTICLE = [150, 150, 150];
const BRIGHT = [255, 0, 200];

const packed = ([red, green, blue], alpha = 255) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
const styled = ([red, green, blue], alpha = 1) => `rgba(${red}, ${green}, ${blue}, ${alpha})`;

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return canvas;
}

/** A picture of the image's size that is drawn at any enlargement, kept at the sizes of LEVELS. */
class Layer {
  constructor(width, height, { isThin }) {
    [this.width, this.height, this.isThin] = [width, height, isThin];
    this.levels = LEVELS.map((level) => {
      const size = [Math.ceil(width / level), Math.ceil(height / level)];
      const canvas = canvasOf(...size), context = canvas.getContext("2d");
      const data = context.createImageData(...size);
      return { level, canvas, context, data, pixels: new Uint32Array(data.data.buffer) };
    });
    this.pixels = this.levels[0].pixels;
  }

  /** Put a changed part of `pixels` into the pictures of all sizes. */
  refresh({ left, top, right, bottom }) {
    for (const [index, { level, context, data, pixels }] of this.levels.entries()) {
      const low = [Math.floor(left / level), Math.floor(top / level)];
      const high = [Math.min(Math.ceil(right / level), data.width), Math.min(Math.ceil(bottom / level), data.height)];
      if (index) this.shrink(this.levels[index - 1], data.width, pixels, low, high);
      context.putImageData(data, 0, 0, low[0], low[1], high[0] - low[0], high[1] - low[1]);
    }
  }

  shrink(finer, width, pixels, low, high) {
    const stride = finer.data.width, lastRow = finer.data.height - 1, source = finer.pixels;
    for (let row = low[1]; row < high[1]; row++) {
      const above = 2 * row * stride, below = Math.min(2 * row + 1, lastRow) * stride;
      for (let column = low[0]; column < high[0]; column++) {
        const left = 2 * column, right = Math.min(left + 1, stride - 1);
        const [a, b, c, d] = [source[above + left], source[above + right], source[below + left], source[below + right]];
        if (this.isThin) {
          pixels[row * width + column] = a || b || c || d; // thin lines stay
        } else {
          const mean = ((a & 255) + (b & 255) + (c & 255) + (d & 255)) >> 2;
          pixels[row * width + column] = packed([mean, mean, mean]);
        }
      }
    }
  }

  draw(context, zoom, seen) {
    const { level, canvas } = this.levels.findLast((one) => one.level <= 1 / zoom) ?? this.levels[0];
    const [left, top] = [Math.floor(seen.left / level), Math.floor(seen.top / level)];
    const width = Math.min(Math.ceil(seen.right / level), canvas.width) - left;
    const height = Math.min(Math.ceil(seen.bottom / level), canvas.height) - top;
    if (width <= 0 || height <= 0) return;
    context.imageSmoothingEnabled = zoom < 2;
    context.drawImage(canvas, left, top, width, height, left * level, top * level, width * level, height * level);
  }
}

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.zoom = 1;
    this.left = this.top = 0; // image point at the canvas's corner
    this.showsOutlines = true;
    this.showsLow = false;
    this.showsBright = false;
    this.contrast = this.gamma = 1;
    this.level = 128;
    this.pen = null; // draws what the tool holds
    this.cursor = null;
    this.isDue = false;
    new ResizeObserver(() => this.fitCanvas()).observe(canvas);
  }

  fitCanvas() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    this.invalidate();
  }

  /** Show another image: its size, frame, grey levels (a byte a pixel), outlines by id, and colours of states. */
  show(image, grey, outlines, colours, selection) {
    Object.assign(this, { image, grey, outlines, colours, selection });
    this.shades = new Layer(image.columns, image.rows, { isThin: false });
    this.lines = new Layer(image.columns, image.rows, { isThin: true });
    this.bright = null;
    this.shade();
    this.repaint();
    this.fit();
  }

  fit() {
    const { columns, rows } = this.image;
    this.zoom = Math.min(this.canvas.width / columns, this.canvas.height / rows);
    this.left = (columns - this.canvas.width / this.zoom) / 2;
    this.top = (rows - this.canvas.height / this.zoom) / 2;
    this.invalidate();
  }

  zoomBy(factor, at = { x: this.canvas.width / 2, y: this.canvas.height / 2 }) {
    const fixed = this.toImage(at);
    this.zoom = Math.min(Math.max(this.zoom * factor, 0.02), 64);
    this.left = fixed.x - at.x / this.zoom;
    this.top = fixed.y - at.y / this.zoom;
    this.invalidate();
  }

  /** Bring an outline into the middle, large enough to be judged. */
  goTo({ box, center }) {
    const side = Math.max(box.right - box.left, box.bottom - box.top);
    this.zoom = Math.min(Math.max(Math.min(this.canvas.width, this.canvas.height) / (6 * side), this.zoom), 16);
    this.left = center.x - this.canvas.width / this.zoom / 2;
    this.top = center.y - this.canvas.height / this.zoom / 2;
    this.invalidate();
  }

  /** Move the view just so far that it contains a point. */
  reveal({ x, y }) {
    const edge = 20 / this.zoom, width = this.canvas.width / this.zoom, height = this.canvas.height / this.zoom;
    this.left = Math.min(Math.max(this.left, x - width + edge), x - edge);
    this.top = Math.min(Math.max(this.top, y - height + edge), y - edge);
    this.invalidate();
  }

  toImage({ x, y }) {
    return { x: this.left + x / this.zoom, y: this.top + y / this.zoom };
  }

  /** Apply contrast and gamma to the grey levels. */
  shade() {
    if (!this.image) return;
    const table = new Uint32Array(256);
    for (let level = 0; level < 256; level++) {
      const value = Math.min(Math.max((level / 255 - 0.5) * this.contrast + 0.5, 0), 1) ** (1 / this.gamma);
      const shown = Math.round(255 * value);
      table[level] = packed([shown, shown, shown]);
    }
    const { pixels, width, height } = this.shades;
    for (let at = 0; at < pixels.length; at++) pixels[at] = table[this.grey[at]];
    this.shades.refresh({ left: 0, top: 0, right: width, bottom: height });
    this.invalidate();
  }

  isShown(outline) {
    return outline.counted || !outline.particle || this.showsLow;
  }

  colourOf(outline) {
    if (this.selection.has(outline.id)) return SELECTED;
    return outline.particle && outline.counted ? this.colours[outline.state ?? outline.predicted?.state ?? "None"] : NO_PARTICLE;
  }

  /** Draw the border pixels anew in a part of the image, or in all of it. */
  repaint(part = { left: 0, top: 0, right: this.image.columns, bottom: this.image.rows }) {
    const { pixels, width } = this.lines;
    for (let row = part.top; row < part.bottom; row++) pixels.fill(0, row * width + part.left, row * width + part.right);
    for (const outline of this.outlines.values()) {
      const { box } = outline;
      const apart = box.right <= part.left || box.left >= part.right || box.bottom <= part.top || box.top >= part.bottom;
      if (apart || !this.isShown(outline)) continue;
      const colour = packed(this.colourOf(outline));
      outline.eachBorderPixel((x, y) => {
        if (x >= part.left && x < part.right && y >= part.top && y < part.bottom) pixels[y * width + x] = colour;
      });
    }
    this.lines.refresh(part);
    this.invalidate();
  }

  /** Repaint the boxes of outlines that changed. */
  repaintAt(outlines) {
    if (outlines.length > 200) this.repaint();
    else for (const { box } of outlines) this.repaint(box);
    this.bright = null;
    this.invalidate();
  }

  /** The layer of pixels between the data bars that are bright and not outlined. */
  brightLayer() {
    if (this.bright) return this.bright;
    const { columns, rows, top, bottom } = this.image;
    const layer = new Layer(columns, rows, { isThin: true });
    const counted = [...this.outlines.values()].filter((outline) => outline.counted);
    const cover = coverOf(counted, columns, rows), colour = packed(BRIGHT, 150);
    for (let at = top * columns; at < bottom * columns; at++) {
      if (this.grey[at] >= this.level && !cover[at]) layer.pixels[at] = colour;
    }
    layer.refresh({ left: 0, top: 0, right: columns, bottom: rows });
    return (this.bright = layer);
  }

  invalidate() {
    if (this.isDue || !this.image) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.draw();
    });
  }

  draw() {
    const { context, canvas, zoom, image } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#111";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.setTransform(zoom, 0, 0, zoom, -this.left * zoom, -this.top * zoom);
    const seen = {
      left: Math.max(this.left, 0), top: Math.max(this.top, 0),
      right: Math.min(this.left + canvas.width / zoom, image.columns),
      bottom: Math.min(this.top + canvas.height / zoom, image.rows),
    };
    this.shades.draw(context, zoom, seen);
    context.fillStyle = "rgba(0, 0, 0, 0.55)"; // data bars are not measured
    context.fillRect(0, 0, image.columns, image.top);
    context.fillRect(0, image.bottom, image.columns, image.rows - image.bottom);
    if (this.showsBright) this.brightLayer().draw(context, zoom, seen);
    if (this.showsOutlines) this.drawOutlines(context, zoom, seen);
    context.lineWidth = 1.5 / zoom;
    context.strokeStyle = context.fillStyle = "#ffd84a";
    if (this.pen) this.pen(context, zoom);
    if (this.cursor) this.drawCursor(context, zoom);
  }

  drawOutlines(context, zoom, seen) {
    if (zoom < VECTORS_FROM) {
      this.lines.draw(context, zoom, seen);
    } else {
      context.lineWidth = 1.6 / zoom;
      for (const outline of this.outlines.values()) {
        const { box } = outline;
        const apart = box.right < seen.left || box.left > seen.right || box.bottom < seen.top || box.top > seen.bottom;
        if (apart || !this.isShown(outline)) continue;
        context.strokeStyle = styled(this.colourOf(outline));
        context.stroke(outline.edges);
      }
    }
    if (this.selection.size > 200) return;
    context.fillStyle = styled(SELECTED, 0.22);
    for (const id of this.selection) if (this.outlines.has(id)) context.fill(this.outlines.get(id).filling);
  }

  drawCursor(context, zoom) {
    const { x, y } = this.cursor, arm = 12 / zoom;
    context.beginPath();
    context.moveTo(x - arm, y);
    context.lineTo(x + arm, y);
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
    context.stroke();
  }
}
