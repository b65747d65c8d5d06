// All actions in one table, from which keys, buttons and help are made.

import { TOOLS } from "./tools.js";

const ids = (app) => [...app.selection];

function stateActions(states) {
  const named = [...states.map((state, index) => [String(index + 1), state]), ["6", null]];
  return named.map(([key, state]) => ({
    id: `state-${key}`,
    keys: [key],
    label: state ? state.replace("_", " ") : "state not known",
    changes: true,
    run: (app) => app.edit({ kind: "state", ids: ids(app), state }),
  }));
}

/** All actions; `states` are the names of states in the order of their keys. */
export function actionsOf(states) {
  const tools = Object.entries(TOOLS).map(([name, { key, label }]) => ({
    id: `tool-${name}`, keys: [key], label, tool: name, run: (app) => app.take(name),
  }));
  return [
    ...tools,
    { id: "delete", keys: ["Delete", "Backspace", "d"], label: "delete", changes: true,
      run: (app) => app.edit({ kind: "delete", ids: ids(app) }) },
    { id: "merge", keys: ["m"], label: "merge", changes: true, run: (app) => app.edit({ kind: "merge", ids: ids(app) }) },
    { id: "undo", keys: ["z", "Ctrl+z"], label: "undo", changes: true, run: (app) => app.step("undo") },
    { id: "redo", keys: ["Z", "Ctrl+Z", "Ctrl+y"], label: "redo", changes: true, run: (app) => app.step("redo") },
    ...stateActions(states),
    { id: "none", keys: ["0"], label: "not a particle", changes: true,
      run: (app) => app.edit({ kind: "particle", ids: ids(app), is_particle: false }) },
    { id: "accept", keys: ["a"], label: "is a particle", changes: true,
      run: (app) => app.edit({ kind: "particle", ids: ids(app), is_particle: true }) },
    { id: "all", keys: ["Ctrl+a"], label: "select all", run: (app) => app.selectAll() },
    { id: "next-doubtful", keys: ["n"], label: "next doubtful", run: (app) => app.goToDoubtful(1) },
    { id: "previous-doubtful", keys: ["N"], label: "previous doubtful", run: (app) => app.goToDoubtful(-1) },
    { id: "next-image", keys: [".", "PageDown"], label: "next image", run: (app) => app.goToImage(1) },
    { id: "previous-image", keys: [",", "PageUp"], label: "previous image", run: (app) => app.goToImage(-1) },
    { id: "outlines", keys: ["o"], label: "outlines on or off", run: (app) => app.toggle("showsOutlines") },
    { id: "bright", keys: ["w"], label: "bright, not outlined", run: (app) => app.toggle("showsBright") },
    { id: "low", keys: ["l"], label: "low scores", run: (app) => app.toggle("showsLow") },
    { id: "more-contrast", keys: ["t"], label: "more contrast", run: (app) => app.turn("contrast", 1) },
    { id: "less-contrast", keys: ["T"], label: "less contrast", run: (app) => app.turn("contrast", -1) },
    { id: "more-gamma", keys: ["g"], label: "brighter (gamma)", run: (app) => app.turn("gamma", 1) },
    { id: "less-gamma", keys: ["G"], label: "darker (gamma)", run: (app) => app.turn("gamma", -1) },
    { id: "larger-brush", keys: ["k"], label: "larger brush", run: (app) => app.turn("radius", 1) },
    { id: "smaller-brush", keys: ["K"], label: "smaller brush", run: (app) => app.turn("radius", -1) },
    { id: "zoom-in", keys: ["+", "="], label: "zoom in", run: (app) => app.view.zoomBy(1.25, app.cursorOnScreen) },
    { id: "zoom-out", keys: ["-"], label: "zoom out", run: (app) => app.view.zoomBy(0.8, app.cursorOnScreen) },
    { id: "fit", keys: ["h"], label: "whole image", run: (app) => app.view.fit() },
    { id: "cancel", keys: ["Escape"], label: "cancel, deselect", run: (app) => app.letGo() },
    { id: "help", keys: ["?"], label: "help", run: (app) => app.help() },
  ];
}

/** The name of a key press, as in the table. */
export function nameOfKey(event) {
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.key}`;
}

const SHOWN_AS_BUTTONS = new Set([
  "delete", "merge", "undo", "redo", "none", "accept", "next-doubtful", "previous-image", "next-image", "outlines",
  "bright", "low", "zoom-in", "zoom-out", "fit", "help",
]);

function button(action, app) {
  const made = document.createElement("button");
  made.type = "button";
  made.id = action.id;
  made.textContent = action.label;
  made.title = `${action.label}: ${action.keys.join(", ")}`;
  made.addEventListener("click", () => {
    app.canvas.focus();
    app.run(action);
  });
  return made;
}

/** Make buttons, the states' list and the table of keys. */
export function build(actions, app) {
  const { tools, deeds, legend, keys } = app.elements;
  for (const action of actions) {
    if (action.tool) tools.append(button(action, app));
    else if (SHOWN_AS_BUTTONS.has(action.id)) deeds.append(button(action, app));
    else if (action.id.startsWith("state-")) {
      const item = document.createElement("li"), patch = document.createElement("span");
      const state = app.states[Number(action.keys[0]) - 1] ?? "None";
      patch.style.background = `rgb(${app.colours[state].join(" ")})`;
      const made = button(action, app);
      made.prepend(`${action.keys[0]} `);
      item.append(patch, made);
      legend.append(item);
    }
    const row = keys.insertRow();
    const cell = row.insertCell();
    for (const key of action.keys) {
      const shown = document.createElement("kbd");
      shown.textContent = key.replace(/^([A-Z])$/, "Shift+$1").replace(/Ctrl\+([A-Z])$/, "Ctrl+Shift+$1");
      cell.append(shown, " ");
    }
    row.insertCell().textContent = action.label;
  }
}
