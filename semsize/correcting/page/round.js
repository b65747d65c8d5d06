// The way through the doubtful outlines of each image: what was visited is not shown again until all were seen.

export class Round {
  constructor() {
    this.ways = new Map(); // number of the image to the outlines visited, in order, and the place among them
  }

  wayIn(number) {
    if (!this.ways.has(number)) this.ways.set(number, { visited: [], at: -1 });
    return this.ways.get(number);
  }

  /**
   * The outline to visit next in an image, or the one before; null at the end, where a new round begins.
   * `doubtful` are ids, the most doubtful first; `exists` says of an id whether it can be shown.
   */
  next(number, doubtful, exists) {
    const way = this.wayIn(number);
    while (++way.at < way.visited.length) if (exists(way.visited[way.at])) return way.visited[way.at];
    const id = doubtful.find((other) => !way.visited.includes(other));
    if (id === undefined) {
      this.ways.delete(number);
      return null;
    }
    way.visited.push(id);
    return id;
  }

  previous(number, exists) {
    const way = this.wayIn(number);
    while (--way.at >= 0) if (exists(way.visited[way.at])) return way.visited[way.at];
    way.at = -1;
    return null;
  }

  /** Outlines that became more doubtful are to be shown again. */
  forget(number, ids) {
    const way = this.wayIn(number);
    way.at -= way.visited.slice(0, way.at + 1).filter((id) => ids.includes(id)).length;
    way.visited = way.visited.filter((id) => !ids.includes(id));
  }
}
