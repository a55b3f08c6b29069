// A texel's whole day: red, green and blue over 24 hours, baked hours as dots, events as lines, truth as rings.

"use strict";

const CHART_COLOURS = ["#ff6b6b", "#5fd38d", "#6ea8ff"];

/** A number of radiance that fits in a read-out. */
function shortNumber(value) {
  if (value === 0) return "0";
  return value >= 1000 || value < 0.001 ? value.toExponential(1) : value.toPrecision(3);
}

/** A round number at or above `value`. */
function roundUp(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= value * 0.999);
}

/** `day`: {hours, rgb} of the curve; `baked`, `truth`: lists of {hour, rgb}; `events` and `now`: hours. */
function drawChart(canvas, { day, baked, truth, events, now }) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const [left, right, top, bottom] = [34, 6, 8, 16];
  const values = [...day.rgb, ...truth.flatMap(({ rgb }) => [...rgb])];
  const most = roundUp(Math.max(1e-6, values.reduce((a, b) => Math.max(a, b), 0)));
  const x = (hour) => left + (hour / 24) * (width - left - right);
  const y = (value) => height - bottom - (value / most) * (height - top - bottom);
  const line = (x0, y0, x1, y1) => {
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
  };

  context.font = "10px system-ui, sans-serif";
  context.fillStyle = "#8d97a8";
  context.strokeStyle = "rgba(255,255,255,.09)";
  context.textAlign = "center";
  for (let hour = 0; hour <= 24; hour += 6) {
    line(x(hour), top, x(hour), height - bottom);
    if (hour) context.fillText(String(hour), Math.min(x(hour), width - 8), height - 4);
  }
  context.textAlign = "right";
  for (const value of [0, most / 2, most]) {
    line(left, y(value), width - right, y(value));
    context.fillText(shortNumber(value), left - 5, y(value) + 3);
  }
  context.strokeStyle = "rgba(255,196,87,.45)";
  context.setLineDash([2, 3]);
  for (const hour of events) line(x(hour), top, x(hour), height - bottom);
  context.setLineDash([]);

  for (let c = 0; c < 3; c++) {
    context.strokeStyle = context.fillStyle = CHART_COLOURS[c];
    context.lineWidth = 1.6;
    context.beginPath();
    day.hours.forEach((hour, k) => context.lineTo(x(hour), y(day.rgb[3 * k + c])));
    context.stroke();
    for (const { hour, rgb } of baked) {
      context.beginPath();
      context.arc(x(hour), y(rgb[c]), 1.7, 0, 7);
      context.fill();
    }
    context.lineWidth = 1;
    for (const { hour, rgb } of truth) {
      context.beginPath();
      context.arc(x(hour), y(rgb[c]), 3.4, 0, 7);
      context.stroke();
    }
  }
  context.lineWidth = 1;
  context.strokeStyle = "rgba(255,255,255,.85)";
  line(x(now), top - 3, x(now), height - bottom);
}
