// The list of images: those with the most doubtful outlines first; where an image cannot be shown, the reason.

export class ImageList {
  /** `element` is the list on the page, `rows` what the server says of each image. */
  constructor(element, rows) {
    this.element = element;
    this.rows = [...rows].sort((a, b) => b.doubtful - a.doubtful || a.number - b.number);
    this.options = new Map(this.rows.map((row) => [row.number, document.createElement("option")]));
    for (const row of this.rows) {
      this.options.get(row.number).value = row.number;
      this.write(row);
    }
    element.append(...this.options.values());
  }

  write({ number, name, doubtful, outlines, trouble }) {
    this.options.get(number).textContent = trouble ?? `${name} (${doubtful} doubtful of ${outlines})`;
  }

  /** Numbers of the images after an image, or before it, the nearest first; without an image all lie after it. */
  beyond(number, step) {
    const at = this.rows.findIndex((row) => row.number === number);
    const rows = step > 0 ? this.rows.slice(at + 1) : this.rows.slice(0, Math.max(at, 0)).reverse();
    return rows.map((row) => row.number);
  }

  /** Update an image's row: counts, or as `trouble` why it cannot be shown, which is returned with its name. */
  renew(number, news) {
    const row = Object.assign(this.rows.find((other) => other.number === number), news);
    if (row.trouble && !row.trouble.includes(row.name)) row.trouble = `${row.name}: ${row.trouble}`;
    this.write(row);
    return row.trouble;
  }
}
