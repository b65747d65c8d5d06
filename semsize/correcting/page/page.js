// The correction page: its elements, its requests to the server, mouse and keyboard.

import { actionsOf, build, nameOfKey } from "./actions.js";
import { ImageList } from "./images.js";
import { Outline, otsuLevel } from "./outlines.js";
import { Refused, Unanswered, ask, enter, greyOf } from "./requests.js";
import { Round } from "./round.js";
import { TOOLS } from "./tools.js";
import { View } from "./view.js";

const ELEMENTS = ["images", "tools", "deeds", "picture", "contrast", "gamma", "radius", "level", "scale", "length", "facts",
  "legend", "take", "saved", "message", "where", "help-dialog", "keys", "close-help"];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ZOOM_A_NOTCH = 1.15;

const MOST_NAMED = 3; // images that a message names

class App {
  constructor() {
    this.elements = Object.fromEntries(ELEMENTS.map((id) => [id, document.getElementById(id)]));
    this.canvas = this.elements.picture;
    this.view = new View(this.canvas);
    this.name = crypto.getRandomValues(new Uint32Array(4)).join("-");
    this.outlines = new Map();
    this.selection = new Set();
    this.round = new Round();
    this.radius = Number(this.elements.radius.value);
    this.queue = this.way = Promise.resolve(); // changes are sent, and images looked for, one after another
    this.pending = 0;
    this.readOnly = null;
    this.isPenDown = false;
  }

  async start() {
    // the address of a restarted program may differ only behind #, and the browser then loads nothing
    window.addEventListener("hashchange", () => this.attempt(async () => await enter() && location.reload()));
    await this.attempt(enter);
    const { images, settings } = await ask("/api/images");
    this.doubtful = settings.doubtful;
    this.states = settings.states;
    this.colours = settings.colours;
    this.actions = actionsOf(this.states);
    this.byKey = new Map(this.actions.flatMap((action) => action.keys.map((key) => [key, action])));
    build(this.actions, this);
    this.list = new ImageList(this.elements.images, images);
    this.take("select");
    this.listen();
    await this.goToImage(1);
  }

  // ---- images

  /** Show an image; if that fails, the former one stays. */
  async open(number, { take = false } = {}) {
    const grey = await greyOf(number); // first, since the next request makes the server close the former image
    const opened = this.queue.then(async () => {
      this.show(await ask(`/api/images/${number}/open`, { page: this.name, take }), grey);
    });
    this.queue = opened.catch(() => {});
    await opened;
  }

  show(image, grey) {
    this.letGo();
    this.image = image;
    this.outlines = new Map(image.outlines.map((row) => [row.id, new Outline(row, image.rows)]));
    this.selection = new Set();
    const colours = { ...this.colours, null: this.colours.None };
    this.view.show(image, grey, this.outlines, colours, this.selection);
    this.elements.level.value = otsuLevel(grey, image.top * image.columns, image.bottom * image.columns);
    this.view.level = Number(this.elements.level.value);
    this.elements.images.value = image.number;
    this.count();
    this.depths(image);
    this.readOnly = image.read_only;
    this.elements.take.hidden = this.readOnly === null;
    this.scaleEnds = image.scale && [0, 2].map((at) => ({ x: image.scale.ends[at], y: image.scale.ends[at + 1] }));
    this.report(this.readOnly === null ? "saved" : "read-only", this.readOnly ?? "saved");
    this.facts();
    this.canvas.focus();
  }

  /** Go to the next image that can be shown, once earlier calls are done. */
  goToImage(step) {
    const gone = this.way.then(() => this.findImage(step));
    this.way = gone.catch(() => {});
    return gone;
  }

  /** Show the next image that can be shown; message and list say why those before it cannot be. */
  async findImage(step) {
    const said = [];
    let isFound = false;
    for (const number of this.list.beyond(this.image?.number, step)) {
      isFound = await this.open(number).then(() => true, (cause) => {
        if (!(cause instanceof Refused)) throw cause;
        said.push(this.list.renew(number, { trouble: cause.message }));
        return false;
      });
      if (isFound) break;
    }
    if (said.length > MOST_NAMED) said.splice(MOST_NAMED, said.length, `and ${said.length - MOST_NAMED} more, see the list`);
    if (!isFound) said.push(!this.image ? "no image can be shown" : step > 0 ? "this is the last image" : "this is the first image");
    this.say(said.join("; "));
  }

  /** Open the image that was chosen in the list. */
  async choose(number) {
    try {
      await this.open(number);
    } catch (cause) {
      this.elements.images.value = this.image?.number;
      if (cause instanceof Refused) this.list.renew(number, { trouble: cause.message });
      throw cause;
    }
  }

  /** Go to the most doubtful outline that was not visited yet; after the last one, to the next image. */
  async goToDoubtful(step) {
    const { number } = this.image ?? {}, exists = (id) => this.outlines.has(id) && this.view.isShown(this.outlines.get(id));
    const inOrder = [...this.outlines.values()].filter(({ doubt, id }) => doubt >= this.doubtful && exists(id))
      .sort((a, b) => b.doubt - a.doubt || a.id - b.id);
    const id = step > 0 ? this.round.next(number, inOrder.map((outline) => outline.id), exists) : this.round.previous(number, exists);
    if (id === null) {
      await this.goToImage(step);
      return;
    }
    this.select([id]);
    this.view.goTo(this.outlines.get(id));
  }

  // ---- changes

  edit(request) {
    return this.change("edit", request);
  }

  step(name) {
    return this.change(name, {});
  }

  /** Ask for a change; the page says that it is saved once the server has it on disk. */
  change(what, request) {
    if (this.readOnly !== null) {
      this.say(this.readOnly);
      return Promise.resolve();
    }
    this.pending++;
    this.report("saving", "saving …");
    const { image } = this;
    this.queue = this.queue.then(async () => {
      try {
        if (image !== this.image) throw new Refused("another image was opened before this change was made; go back and do it again");
        this.changed(await ask(`/api/images/${image.number}/${what}`, { ...request, page: this.name }));
      } catch (cause) {
        this.failed(cause);
      } finally {
        this.pending--;
      }
      if (!this.pending && this.elements.saved.dataset.state === "saving") this.report("saved", "saved");
    });
    return this.queue;
  }

  changed({ gone, outlines, note, ...depths }) {
    this.say(note ?? "");
    const before = [...gone, ...outlines.map((row) => row.id)].map((id) => this.outlines.get(id)).filter(Boolean);
    for (const id of gone) this.outlines.delete(id);
    const now = outlines.map((row) => new Outline(row, this.image.rows));
    const rose = now.filter(({ id, doubt }) => doubt > (this.outlines.get(id)?.doubt ?? 0));
    this.round.forget(this.image.number, rose.map(({ id }) => id));
    const isNew = now.filter(({ id }) => !this.outlines.has(id)).map(({ id }) => id);
    for (const outline of now) this.outlines.set(outline.id, outline);
    this.depths(depths);
    this.count();
    this.view.repaintAt([...before, ...now]);
    const kept = [...this.selection].filter((id) => this.outlines.has(id));
    this.select(isNew.length ? isNew : kept);
  }

  /** Say why a change was not made. */
  failed(cause) {
    if (cause.readOnly) {
      this.readOnly = cause.message;
      this.elements.take.hidden = false;
      this.report("read-only", cause.message);
    } else if (cause instanceof Unanswered) {
      this.report("lost", `NOT SAVED: ${cause.message}`);
    } else {
      this.say(cause.message);
      if (!(cause instanceof Refused)) console.error(cause);
    }
  }

  askLength(bar) {
    if (this.image.nm_per_px !== null) {
      this.say("the pixel size of this image is known; no scale bar is needed");
      return;
    }
    this.bar = bar;
    this.scaleEnds = bar.ends.map(([x, y]) => ({ x, y }));
    this.elements.scale.hidden = false;
    this.elements.length.focus();
  }

  async keepScale() {
    await this.queue;
    this.report("saving", "saving …");
    const { number } = this.image, content = { ...this.bar, length: this.elements.length.value, page: this.name };
    try {
      const { scale } = await ask(`/api/images/${number}/scale`, content);
      this.image.scale = scale;
      this.elements.scale.hidden = true;
      this.say("");
      this.facts();
      this.canvas.focus();
    } catch (cause) {
      this.failed(cause);
    }
    if (this.elements.saved.dataset.state === "saving") this.report("saved", "saved");
  }

  // ---- what is shown

  select(ids) {
    const before = [...this.selection];
    this.selection.clear();
    for (const id of ids) this.selection.add(id);
    const changed = new Set([...before, ...this.selection]);
    this.view.repaintAt([...changed].map((id) => this.outlines.get(id)).filter(Boolean));
    this.facts();
  }

  selectAll() {
    this.select(this.counted.map(({ id }) => id));
  }

  get counted() {
    return [...this.outlines.values()].filter((outline) => outline.counted);
  }

  /** Say in the list how many outlines count, and how many of them are doubtful. */
  count() {
    const { counted } = this, doubtful = counted.filter(({ doubt }) => doubt >= this.doubtful).length;
    this.list.renew(this.image.number, { trouble: null, outlines: counted.length, doubtful });
  }

  facts() {
    const { image, selection, outlines, elements } = this;
    const nm = image.nm_per_px ?? image.scale?.nm_per_px;
    const facts = { outlines: this.counted.length, selected: selection.size, scale: nm ? `${nm.toPrecision(4)} nm a pixel` : "not known" };
    if (selection.size === 1) {
      const { id, state, predicted, score, corrected, doubt, particle } = outlines.get([...selection][0]);
      const model = predicted ? `${predicted.state}, predicted (${predicted.probability})` : "not known";
      Object.assign(facts, { number: id, state: particle ? state ?? model : "not a particle" });
      Object.assign(facts, { score: particle ? `${score}${corrected ? " (corrected)" : ""}` : "none", doubt });
    }
    elements.facts.replaceChildren(...Object.entries(facts).flatMap(([name, value]) => {
      const [term, said] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, said.textContent] = [name, value];
      return [term, said];
    }));
  }

  depths({ done, undone }) {
    document.getElementById("undo").disabled = !done;
    document.getElementById("redo").disabled = !undone;
  }

  say(text) {
    this.elements.message.textContent = text;
  }

  report(state, text) {
    if (this.elements.saved.dataset.state === "lost") return;
    this.elements.saved.dataset.state = state;
    this.elements.saved.textContent = text;
  }

  async attempt(deed) {
    try {
      await deed();
    } catch (cause) {
      this.say(cause.message);
      if (!(cause instanceof Refused || cause instanceof Unanswered)) throw cause;
    }
  }

  toggle(name) {
    this.view[name] = !this.view[name];
    if (name === "showsLow") this.view.repaint();
    this.view.invalidate();
    const id = { showsOutlines: "outlines", showsBright: "bright", showsLow: "low" }[name];
    document.getElementById(id).setAttribute("aria-pressed", this.view[name]);
  }

  turn(name, step) {
    const slider = this.elements[name];
    slider.value = Number(slider.value) + step * Number(slider.step) * (name === "gamma" ? 2 : 1);
    slider.dispatchEvent(new Event("input"));
  }

  take(name) {
    this.tool?.cancel();
    this.tool = TOOLS[name].make(this);
    this.view.pen = (context, zoom) => this.tool.draw(context, zoom);
    for (const other of Object.keys(TOOLS)) {
      document.getElementById(`tool-${other}`).setAttribute("aria-pressed", other === name);
    }
    this.view.invalidate();
  }

  letGo() {
    this.tool.cancel();
    this.isPenDown = false;
    this.elements.scale.hidden = true;
    this.say("");
    if (this.image) this.select([]);
  }

  help() {
    this.elements["help-dialog"].showModal();
  }

  run(action) {
    if (!this.image && !/-image$|-doubtful$|^help$/.test(action.id)) return this.say("no image is shown");
    return this.attempt(async () => action.run(this));
  }

  // ---- mouse and keyboard

  get cursorOnScreen() {
    const { cursor, left, top, zoom } = this.view;
    return cursor ? { x: (cursor.x - left) * zoom, y: (cursor.y - top) * zoom } : undefined;
  }

  pointOf(event) {
    const box = this.canvas.getBoundingClientRect(), ratio = this.canvas.width / box.width;
    return { x: (event.clientX - box.left) * ratio, y: (event.clientY - box.top) * ratio };
  }

  /** One step of the pen: down, move or up, in image pixels. */
  pen(step, point, { shift = false } = {}) {
    if (!this.image) return;
    this.elements.where.textContent = `x ${point.x.toFixed(1)}, y ${point.y.toFixed(1)}`;
    this.tool[step](point, { shift });
    this.view.invalidate();
  }

  press(event) {
    if (event.target.matches('input[type="text"], select') || this.elements["help-dialog"].open) return;
    const arrow = ARROWS[event.key];
    if (arrow && event.target.matches("input")) return; // a slider
    const { view } = this;
    if (arrow || event.key === "Enter" || event.key === " ") {
      if (event.target.matches("button, input")) return;
      event.preventDefault();
      view.cursor ??= view.toImage({ x: this.canvas.width / 2, y: this.canvas.height / 2 });
      if (arrow) {
        const step = event.shiftKey ? 10 : 1;
        view.cursor = { x: view.cursor.x + step * arrow[0], y: view.cursor.y + step * arrow[1] };
        view.reveal(view.cursor);
        this.pen("move", view.cursor);
      } else if (event.key === "Enter") {
        this.pen("down", view.cursor);
        this.pen("up", view.cursor, { shift: event.shiftKey });
      } else {
        this.isPenDown = !this.isPenDown;
        this.pen(this.isPenDown ? "down" : "up", view.cursor, { shift: event.shiftKey });
      }
      return;
    }
    const action = this.byKey.get(nameOfKey(event));
    if (!action || event.altKey) return;
    event.preventDefault();
    this.run(action);
  }

  listen() {
    const { elements, canvas, view } = this;
    let panned = null;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.focus();
      canvas.setPointerCapture(event.pointerId);
      view.cursor = null;
      if (event.button === 0) this.pen("down", view.toImage(this.pointOf(event)));
      else panned = this.pointOf(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      const at = this.pointOf(event);
      if (!panned) return this.pen("move", view.toImage(at));
      view.left -= (at.x - panned.x) / view.zoom;
      view.top -= (at.y - panned.y) / view.zoom;
      panned = at;
      return view.invalidate();
    });
    canvas.addEventListener("pointerup", (event) => {
      if (event.button === 0) this.pen("up", view.toImage(this.pointOf(event)), { shift: event.shiftKey });
      else panned = null;
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      view.zoomBy(event.deltaY < 0 ? ZOOM_A_NOTCH : 1 / ZOOM_A_NOTCH, this.pointOf(event));
    }, { passive: false });
    document.addEventListener("keydown", (event) => this.press(event));
    for (const name of ["contrast", "gamma"]) {
      elements[name].addEventListener("input", () => {
        view[name] = Number(elements[name].value);
        view.shade();
      });
    }
    elements.radius.addEventListener("input", () => {
      this.radius = Number(elements.radius.value);
      view.invalidate();
    });
    elements.level.addEventListener("input", () => {
      view.level = Number(elements.level.value);
      view.bright = null;
      view.invalidate();
    });
    elements.images.addEventListener("change", () => this.attempt(() => this.choose(Number(elements.images.value))));
    elements.scale.addEventListener("submit", (event) => {
      event.preventDefault();
      this.keepScale();
    });
    elements.length.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        elements.scale.hidden = true;
        canvas.focus();
      }
    });
    elements.take.addEventListener("click", () => this.attempt(() => this.open(this.image.number, { take: true })));
    elements["close-help"].addEventListener("click", () => elements["help-dialog"].close());
    window.addEventListener("pagehide", () => {
      const body = JSON.stringify({ page: this.name });
      fetch("/api/leave", { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: true });
    });
  }
}

const app = new App();
window.correction = app; // for tests and the browser's console
app.start().catch((cause) => app.say(cause.message));
