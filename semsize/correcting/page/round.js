// The order in which doubtful outlines are visited: none of an image comes again until all were visited.

export class Round {
  constructor() {
    this.ways = new Map(); // number of an image → the outlines visited, in order, and the place among them
  }

  wayIn(number) {
    if (!this.ways.has(number)) this.ways.set(number, { visited: [], at: -1 });
    return this.ways.get(number);
  }

  /**
   * Id of the outline to visit next in an image; null at the end, after which a new round begins.
   * `doubtful` are ids, the most doubtful first; `exists` tells whether an id can be shown.
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

  /** Have outlines visited again, since they became more doubtful. */
  forget(number, ids) {
    const way = this.wayIn(number);
    way.at -= way.visited.slice(0, way.at + 1).filter((id) => ids.includes(id)).length;
    way.visited = way.visited.filter((id) => !ids.includes(id));
  }
}
