// Pixels: from the PNGs that the server sends to what is seen on the canvases.

// What a map's red, green and blue mean is said in lookwider.web.studio.pictures.maps.
async function readPixels(source) {
  const answer = await fetch(source);
  if (!answer.ok) throw new Error("The picture is not kept any more; open it again.");
  const bitmap = await createImageBitmap(await answer.blob(), { colorSpaceConversion: "none" });
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  return { data, width: bitmap.width, height: bitmap.height };
}

function rgb(colour) {
  const number = parseInt(colour.slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

// Paint the classes that are shown; with `other`, only where it has another class.
function paintLabels(canvas, maps, classes, hidden, other) {
  canvas.width = maps.width;
  canvas.height = maps.height;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(maps.width, maps.height);
  const colours = classes.map((one) => (hidden.has(one.name) ? null : rgb(one.colour)));
  for (let i = 0; i < picture.data.length; i += 4) {
    const colour = colours[maps.data[i]];
    if (!colour || (other && other.data[i] === maps.data[i])) continue;
    picture.data[i] = colour[0];
    picture.data[i + 1] = colour[1];
    picture.data[i + 2] = colour[2];
    picture.data[i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

// Darken what does not matter, and outline what is above the threshold.
function paintField(canvas, field, threshold) {
  const { data, width, height } = field;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const limit = threshold * 255;
  let most = 1;
  for (let i = 0; i < data.length; i += 4) most = Math.max(most, data[i]);
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[4 * (y * width + x)] > limit;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const i = 4 * (y * width + x);
      const edge = inside(x, y) &&
        !(inside(x - 1, y) && inside(x + 1, y) && inside(x, y - 1) && inside(x, y + 1));
      if (edge) picture.data.set([255, 190, 60, 255], i);
      else picture.data.set([8, 10, 20, Math.round(200 * (1 - Math.sqrt(data[i] / most)))], i);
    }
  }
  context.putImageData(picture, 0, 0);
}
