// Requests to the server, and the two ways in which they fail.

/** The server refused, with a reason; nothing was changed. */
export class Refused extends Error {}

/** The server did not answer. */
export class Unanswered extends Error {
  constructor() {
    super("the program does not answer; start it again and open its new address");
  }
}

async function answerTo(path, options, read) {
  let answer, found;
  try {
    answer = await fetch(path, options);
    found = await (answer.ok ? read(answer) : answer.json());
  } catch {
    throw new Unanswered();
  }
  if (!answer.ok) throw Object.assign(new Refused(found.error), { readOnly: found.read_only === true });
  return found;
}

/** The server's answer to a request, which posts `content` if there is any. */
export function ask(path, content) {
  const options = content === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content),
  };
  return answerTo(path, options, (answer) => answer.json());
}

/** Exchange the token in the page's address, which is good once, for a cookie; whether there was a token. */
export async function enter() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return false;
  history.replaceState(null, "", "/");
  await ask("/api/enter", { token });
  return true;
}

/** The grey levels of an image, a byte a pixel, row by row. */
export async function greyOf(number) {
  const data = await answerTo(`/api/images/${number}/picture.png`, {}, (answer) => answer.blob());
  const picture = await createImageBitmap(data).catch(() => {
    throw new Refused("the picture cannot be shown");
  });
  const { width, height } = picture, canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data: pixels } = context.getImageData(0, 0, width, height), grey = new Uint8Array(width * height);
  for (let at = 0; at < grey.length; at++) grey[at] = pixels[4 * at];
  return grey;
}
