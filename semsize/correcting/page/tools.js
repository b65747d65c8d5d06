// What the pen does on the image: each tool takes points in image pixels, from mouse or crosshair, and asks for a change.

const CLOSE_PX = 8; // screen pixels within which two clicks count as one place
const LEAST_DRAG_PX = 3;

const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
const pairs = (points) => points.map(({ x, y }) => [x, y]);

function strokeLine(context, points, isClosed = false) {
  context.beginPath();
  points.forEach(({ x, y }, index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
  if (isClosed) context.closePath();
  context.stroke();
}

/** The smallest outline in sight that holds a point. */
export function outlineAt(app, point) {
  let found = null;
  for (const outline of app.outlines.values()) {
    if (app.view.isShown(outline) && outline.contains(point) && !(found && found.area <= outline.area)) found = outline;
  }
  return found;
}

/** A tool that draws from where the pen goes down to where it is lifted. */
class Drag {
  constructor(app) {
    this.app = app;
    this.start = this.end = null;
  }

  down(point) {
    this.start = this.end = point;
  }

  move(point) {
    if (this.start) this.end = point;
  }

  /** Returns the line that was drawn; the tool is then ready for the next. */
  lift(end) {
    this.end = end;
    const drawn = { start: this.start, end, isLong: this.isLong };
    this.cancel();
    return drawn;
  }

  cancel() {
    this.start = this.end = null;
  }

  get isLong() {
    return this.start && distance(this.start, this.end) * this.app.view.zoom >= LEAST_DRAG_PX;
  }
}

/** A rectangle from corner to corner. */
class Rectangle extends Drag {
  draw(context) {
    if (!this.isLong) return;
    context.strokeRect(this.start.x, this.start.y, this.end.x - this.start.x, this.end.y - this.start.y);
  }
}

class Select extends Rectangle {
  up(point, { shift }) {
    const { start, end, isLong: isBox } = this.lift(point), { app } = this;
    if (!start) return;
    const [left, right] = [Math.min(start.x, end.x), Math.max(start.x, end.x)];
    const [top, bottom] = [Math.min(start.y, end.y), Math.max(start.y, end.y)];
    const isIn = ({ x, y }) => x >= left && x <= right && y >= top && y <= bottom;
    const found = isBox
      ? [...app.outlines.values()].filter((outline) => app.view.isShown(outline) && isIn(outline.center))
      : [outlineAt(app, end)].filter(Boolean);
    const ids = new Set(shift ? app.selection : []);
    for (const { id } of found) {
      if (shift && !isBox && ids.has(id)) ids.delete(id);
      else ids.add(id);
    }
    app.select(ids);
  }
}

/** Asks the network for the outline of the particle in a box. */
class Box extends Rectangle {
  up(point) {
    const { start, end, isLong } = this.lift(point), { app } = this;
    if (!isLong) return;
    app.say("the network draws the outline; loading it the first time takes seconds");
    app.edit({ kind: "box", points: pairs([start, end]) });
  }
}

class Polygon {
  constructor(app) {
    this.app = app;
    this.points = [];
  }

  down() {}

  move(point) {
    this.next = point;
  }

  up(point) {
    const isNear = (other) => other && distance(point, other) * this.app.view.zoom <= CLOSE_PX;
    const [first, last] = [this.points[0], this.points[this.points.length - 1]];
    if (!isNear(first) && !isNear(last)) {
      this.points.push(point);
      return;
    }
    if (this.points.length < 3) return;
    const points = pairs(this.points);
    this.cancel();
    this.app.edit({ kind: "polygon", points });
  }

  cancel() {
    this.points = [];
    this.next = null;
  }

  draw(context, zoom) {
    if (!this.points.length) return;
    strokeLine(context, this.next ? [...this.points, this.next] : this.points);
    for (const { x, y } of this.points) context.fillRect(x - 2.5 / zoom, y - 2.5 / zoom, 5 / zoom, 5 / zoom);
  }
}

/** A tool that records the path of the pen. */
class Path {
  constructor(app) {
    this.app = app;
    this.points = [];
  }

  down(point) {
    this.points = [point];
  }

  move(point) {
    const { points } = this;
    if (points.length && distance(points[points.length - 1], point) >= this.step) points.push(point);
  }

  cancel() {
    this.points = [];
  }
}

class Freehand extends Path {
  get step() {
    return 0.5;
  }

  up(point) {
    this.move(point);
    const points = pairs(this.points);
    this.cancel();
    if (points.length > 2) this.app.edit({ kind: "polygon", points });
  }

  draw(context) {
    if (this.points.length) strokeLine(context, this.points, true);
  }
}

class Brush extends Path {
  get step() {
    return Math.max(this.app.radius / 4, 0.5);
  }

  /** A stroke that begins inside its outline pushes the border outwards, else inwards. */
  down(point) {
    const { selection, outlines } = this.app;
    const chosen = selection.size === 1 ? outlines.get([...selection][0]) : null;
    this.target = chosen ?? outlineAt(this.app, point);
    this.points = [];
    if (!this.target) {
      this.app.say("the brush needs an outline: select one, or begin inside it");
      return;
    }
    this.adds = this.target.contains(point);
    super.down(point);
  }

  up(point) {
    this.move(point);
    const points = pairs(this.points);
    this.cancel();
    if (points.length) {
      this.app.edit({ kind: "push", id: this.target.id, points, radius: this.app.radius, adds: this.adds });
    }
  }

  move(point) {
    this.at = point;
    super.move(point);
  }

  draw(context, zoom) {
    const { radius } = this.app;
    if (this.points.length) {
      context.save();
      context.globalAlpha = 0.4;
      context.lineWidth = 2 * radius;
      context.lineCap = context.lineJoin = "round";
      context.strokeStyle = this.adds ? "#7ddf9a" : "#ff7a66";
      strokeLine(context, [this.points[0], ...this.points]);
      context.restore();
    }
    if (!this.at) return;
    context.beginPath();
    context.arc(this.at.x, this.at.y, radius, 0, 2 * Math.PI);
    context.lineWidth = 1.5 / zoom;
    context.stroke();
  }
}

/** An ellipse at any angle: a drag draws one axis, a click then gives the width. */
class Ellipse extends Drag {
  down(point) {
    if (!this.axis) super.down(point);
  }

  move(point) {
    super.move(point);
    this.at = point;
  }

  up(point) {
    this.move(point);
    if (this.axis) {
      const { center, radii, angle } = this.shape;
      this.cancel();
      this.app.edit({ kind: "ellipse", center: [center.x, center.y], radii, angle });
    } else if (this.isLong) {
      this.axis = [this.start, this.end];
      this.start = null;
      this.app.say("click at the side of the ellipse to give its width");
    } else {
      this.cancel();
    }
  }

  get shape() {
    const [from, to] = this.axis ?? [this.start, this.end];
    const center = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 }, long = distance(from, to) / 2;
    const angle = Math.atan2(to.y - from.y, to.x - from.x);
    const off = { x: this.at.x - center.x, y: this.at.y - center.y };
    const across = Math.abs(off.y * Math.cos(angle) - off.x * Math.sin(angle));
    return { center, radii: [long, this.axis && across > 0.5 ? across : long], angle: (angle * 180) / Math.PI };
  }

  cancel() {
    super.cancel();
    this.axis = null;
  }

  draw(context) {
    if (!this.axis && !this.isLong) return;
    const { center, radii, angle } = this.shape;
    context.beginPath();
    context.ellipse(center.x, center.y, ...radii, (angle * Math.PI) / 180, 0, 2 * Math.PI);
    context.stroke();
  }
}

class Split extends Drag {
  up(point) {
    const { start, end, isLong } = this.lift(point), { app } = this;
    if (!isLong) return;
    const target = app.selection.size === 1 ? app.outlines.get([...app.selection][0]) : this.mostCrossed(start, end);
    if (target) app.edit({ kind: "split", id: target.id, points: pairs([start, end]) });
    else app.say("the line crosses no outline; draw it over one");
  }

  /** The outline that holds most of a line. */
  mostCrossed(start, end) {
    const steps = Math.ceil(distance(start, end)), counts = new Map();
    for (let step = 0; step <= steps; step++) {
      const share = step / steps;
      const at = { x: start.x + share * (end.x - start.x), y: start.y + share * (end.y - start.y) };
      const outline = outlineAt(this.app, at);
      if (outline) counts.set(outline, (counts.get(outline) ?? 0) + 1);
    }
    return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
  }

  draw(context) {
    if (this.isLong) strokeLine(context, [this.start, this.end]);
  }
}

class ScaleBar extends Drag {
  up(point) {
    const { start, end, isLong } = this.lift(point), { app } = this;
    if (!isLong) return;
    const reach = Math.max(1, 1 / app.view.zoom); // one screen pixel, but at least one image pixel
    app.askLength({ ends: pairs([start, end]), reach });
  }

  draw(context, zoom) {
    const ends = this.isLong ? [this.start, this.end] : this.app.scaleEnds;
    if (!ends) return;
    strokeLine(context, ends);
    const arm = 8 / zoom;
    for (const { x, y } of ends) strokeLine(context, [{ x, y: y - arm }, { x, y: y + arm }]);
  }
}

/** Name → tool, with its key and label. */
export const TOOLS = {
  select: { key: "v", label: "select", make: (app) => new Select(app) },
  polygon: { key: "p", label: "polygon", make: (app) => new Polygon(app) },
  freehand: { key: "f", label: "freehand", make: (app) => new Freehand(app) },
  ellipse: { key: "e", label: "ellipse", make: (app) => new Ellipse(app) },
  box: { key: "q", label: "box", make: (app) => new Box(app) },
  split: { key: "x", label: "split", make: (app) => new Split(app) },
  brush: { key: "b", label: "brush", make: (app) => new Brush(app) },
  scale: { key: "r", label: "scale bar", make: (app) => new ScaleBar(app) },
};
