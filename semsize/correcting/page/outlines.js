// Outlines as the server sends them: COCO's compressed run lengths, column by column, to pixels, borders and paths.

/** Start and end of each run of mask pixels, as positions column * height + row. */
export function runsOf(counts) {
  const lengths = [];
  for (let at = 0; at < counts.length;) {
    let value = 0, group = 0, more = true;
    while (more) {
      const code = counts.charCodeAt(at++) - 48;
      value |= (code & 31) << (5 * group++);
      more = (code & 32) !== 0;
      if (!more && code & 16 && 5 * group < 32) value |= -1 << (5 * group);
    }
    lengths.push(lengths.length > 2 ? value + lengths[lengths.length - 2] : value);
  }
  const runs = [];
  let position = 0;
  lengths.forEach((length, index) => {
    if (index % 2 && length) runs.push(position, position + length);
    position += length;
  });
  return Int32Array.from(runs);
}

/** One outline of the image, with the server's fields: id, state, predicted, particle, score, corrected, counted,
 * doubt. */
export class Outline {
  constructor(row, imageHeight) {
    Object.assign(this, row);
    this.runs = runsOf(row.counts);
    this.imageHeight = imageHeight;
    this.spans = []; // column, first row, row after the last one
    for (let index = 0; index < this.runs.length; index += 2) {
      let start = this.runs[index];
      while (start < this.runs[index + 1]) {
        const column = Math.floor(start / imageHeight);
        const end = Math.min(this.runs[index + 1], (column + 1) * imageHeight);
        this.spans.push([column, start - column * imageHeight, end - column * imageHeight]);
        start = end;
      }
    }
    let top = Infinity, bottom = 0;
    for (const [, first, stop] of this.spans) {
      top = Math.min(top, first);
      bottom = Math.max(bottom, stop);
    }
    const left = this.spans[0][0], right = this.spans[this.spans.length - 1][0] + 1;
    this.box = { left, top, right, bottom };
    this.area = this.spans.reduce((sum, [, first, stop]) => sum + stop - first, 0);
  }

  get center() {
    return { x: (this.box.left + this.box.right) / 2, y: (this.box.top + this.box.bottom) / 2 };
  }

  /** Whether the mask holds the pixel at a point. */
  contains({ x, y }) {
    const { left, top, right, bottom } = this.box;
    if (x < left || y < top || x >= right || y >= bottom) return false;
    const position = Math.floor(x) * this.imageHeight + Math.floor(y);
    let low = 0, high = this.runs.length / 2;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.runs[2 * middle + 1] <= position) low = middle + 1; else high = middle;
    }
    return 2 * low < this.runs.length && this.runs[2 * low] <= position;
  }

  /** The mask within its box: width, height and a byte a pixel, row by row. */
  crop() {
    const { left, top, right, bottom } = this.box;
    const width = right - left, height = bottom - top, pixels = new Uint8Array(width * height);
    for (const [column, first, stop] of this.spans) {
      for (let row = first - top; row < stop - top; row++) pixels[row * width + column - left] = 1;
    }
    return { width, height, pixels };
  }

  /** Calls with x, y of every mask pixel that has a pixel outside the mask beside it. */
  eachBorderPixel(call) {
    const { width, height, pixels } = this.crop();
    const { left, top } = this.box;
    for (let row = 0, at = 0; row < height; row++) {
      for (let column = 0; column < width; column++, at++) {
        if (!pixels[at]) continue;
        const inside = column > 0 && column < width - 1 && row > 0 && row < height - 1 &&
          pixels[at - 1] && pixels[at + 1] && pixels[at - width] && pixels[at + width];
        if (!inside) call(left + column, top + row);
      }
    }
  }

  /** The edges between the mask's pixels and those outside it, as a path to stroke. */
  get edges() {
    if (this.edgesPath) return this.edgesPath;
    const { width, height, pixels } = this.crop();
    const { left, top } = this.box;
    const at = (column, row) => column >= 0 && row >= 0 && column < width && row < height && pixels[row * width + column];
    const path = new Path2D();
    for (let row = 0; row <= height; row++) {
      for (let column = 0; column < width; column++) {
        if (!at(column, row) === !at(column, row - 1)) continue;
        const start = column;
        while (column < width && !at(column, row) !== !at(column, row - 1)) column++;
        path.moveTo(left + start, top + row);
        path.lineTo(left + column, top + row);
      }
    }
    for (let column = 0; column <= width; column++) {
      for (let row = 0; row < height; row++) {
        if (!at(column, row) === !at(column - 1, row)) continue;
        const start = row;
        while (row < height && !at(column, row) !== !at(column - 1, row)) row++;
        path.moveTo(left + column, top + start);
        path.lineTo(left + column, top + row);
      }
    }
    return (this.edgesPath = path);
  }

  /** The mask's pixels as a path to fill. */
  get filling() {
    if (this.fillPath) return this.fillPath;
    const path = new Path2D();
    for (const [column, first, stop] of this.spans) path.rect(column, first, 1, stop - first);
    return (this.fillPath = path);
  }
}

/** A byte for each pixel of the image, row by row: 1 where one of the outlines lies. */
export function coverOf(outlines, width, height) {
  const cover = new Uint8Array(width * height);
  for (const outline of outlines) {
    for (const [column, first, stop] of outline.spans) {
      for (let row = first; row < stop; row++) cover[row * width + column] = 1;
    }
  }
  return cover;
}

/** The grey level that separates dark from bright pixels best (Otsu). */
export function otsuLevel(grey, start, end) {
  const counts = new Float64Array(256);
  for (let at = start; at < end; at++) counts[grey[at]]++;
  const total = end - start, sum = counts.reduce((all, count, level) => all + count * level, 0);
  let best = -1, level = 128, below = 0, belowSum = 0;
  for (let cut = 0; cut < 255; cut++) {
    below += counts[cut];
    belowSum += counts[cut] * cut;
    if (!below || below === total) continue;
    const apart = belowSum / below - (sum - belowSum) / (total - below);
    const between = below * (total - below) * apart * apart;
    if (between > best) [best, level] = [between, cut + 1];
  }
  return level;
}
