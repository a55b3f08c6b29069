// The hour: slider, play and speed, the strip of 24 thumbnails.

"use strict";

const SPEEDS = [0.5, 1, 2, 4, 8]; // hours a second
const THUMB = 72; // pixels of a thumbnail, at most
const SLICE_MS = 8; // that thumbnails may take of a frame

/** 6.5 -> "06:30". */
function clockOf(hour) {
  const minutes = Math.round(60 * hour) % (24 * 60);
  return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}

class Timeline {
  constructor(changed) {
    this.changed = changed;
    this.hour = 12;
    this.slider = document.getElementById("hour");
    this.button = document.getElementById("play");
    this.speed = document.getElementById("speed");
    for (const speed of SPEEDS) this.speed.append(new Option("", speed, speed === 2, speed === 2));
    this.slider.addEventListener("input", () => this.set(Number(this.slider.value)));
    this.button.addEventListener("click", () => this.toggle());
    this.thumbs = Array.from({ length: 24 }, (_, hour) => {
      const button = document.createElement("button");
      button.className = "thumb";
      button.title = clockOf(hour);
      const label = document.createElement("span");
      label.textContent = hour;
      button.append(document.createElement("canvas"), label);
      button.addEventListener("click", () => this.set(hour));
      return button;
    });
    document.getElementById("strip").append(...this.thumbs);
  }

  get isPlaying() {
    return this.button.classList.contains("on");
  }

  set(hour) {
    this.hour = ((hour % 24) + 24) % 24;
    this.changed();
  }

  toggle(play = !this.isPlaying) {
    this.button.classList.toggle("on", play);
    this.last = undefined;
    this.changed();
  }

  /** While it plays: the hour at a time of the browser's clock, in milliseconds. */
  advance(now) {
    if (!this.isPlaying) return;
    if (this.last !== undefined) this.hour = (this.hour + (Number(this.speed.value) * (now - this.last)) / 1000) % 24;
    this.last = now;
  }

  /** Shows the hour that is shown. */
  show(hour) {
    if (hour !== 0 || this.slider.value !== "24") this.slider.value = hour; // 24 is 0, and stays at its end
    this.slider.setAttribute("aria-valuetext", clockOf(hour));
    document.getElementById("clock").textContent = clockOf(hour);
    const now = Math.round(hour) % 24;
    if (now === this.now) return;
    this.now = now;
    this.thumbs.forEach((thumb, k) => thumb.classList.toggle("now", k === now));
    const strip = document.getElementById("strip");
    const thumb = this.thumbs[now];
    if (strip.scrollWidth > strip.clientWidth) strip.scrollLeft = thumb.offsetLeft - strip.offsetLeft - strip.clientWidth / 2 + 24;
    // The mark in the header: the sun climbs from 6 to 12 and sinks until 18, at night there is a pale moon.
    const angle = (Math.PI * (((hour + 18) % 12) / 12));
    const sun = document.getElementById("sun");
    sun.setAttribute("cx", 16 - 14 * Math.cos(angle));
    sun.setAttribute("cy", 18 - 14 * Math.sin(angle));
    sun.style.fill = hour >= 6 && hour < 18 ? "" : "#aebbe0";
  }

  /** Ticks of the baked hours and events of a bundle. */
  mark(bundle) {
    const tick = (hour, name) => {
      const line = document.createElement("i");
      line.className = name;
      line.style.left = `${(100 * hour) / 24}%`;
      line.title = clockOf(hour);
      return line;
    };
    const ticks = [...bundle.bakedHours.map((hour) => tick(hour, "")), ...bundle.events.map((hour) => tick(hour, "event"))];
    document.getElementById("ticks").replaceChildren(...ticks);
  }

  /** Draws the thumbnails bit by bit; a later call ends an earlier one. */
  async drawThumbs(bundle, lightmap, scale, tone) {
    const turn = (this.turn = {});
    const { columns, rows, uv } = bundle.grid(lightmap, THUMB, THUMB);
    let begun = performance.now();
    for (let hour = 0; hour < 24; hour++) {
      const image = new ImageData(columns, rows);
      paintColours(bundle.sample(lightmap, uv, hour), image.data, bundle.isRadiance, scale, tone);
      const canvas = this.thumbs[hour].firstChild;
      canvas.width = columns;
      canvas.height = rows;
      canvas.getContext("2d").putImageData(image, 0, 0);
      if (performance.now() - begun < SLICE_MS) continue;
      await new Promise(requestAnimationFrame);
      if (this.turn !== turn) return;
      begun = performance.now();
    }
  }
}
