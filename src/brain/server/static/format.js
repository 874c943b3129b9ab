// Times, ages and numbers as people read them. Times are Unix seconds, as in the events.

import { h, plain } from "./dom.js";
import { serverNow } from "./api.js";

const two = (number) => String(number).padStart(2, "0");

/** `14:03:09.120`, local time. */
export function clockTime(seconds) {
  const date = new Date(seconds * 1000);
  const ms = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

/** Date and time with zone, for titles and the inspector. */
export function fullTime(seconds) {
  const date = new Date(seconds * 1000);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const offset = -date.getTimezoneOffset();
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  return `${day} ${clockTime(seconds)} ${zone}`;
}

/** A length of time: `850 ms`, `12 s`, `3 min`, `5 h`, `2 d`. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 100) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** `now`, `12 s ago`, `3 min ago`. */
function ago(seconds) {
  const age = serverNow() - seconds;
  if (age < 1) return "now";
  return age < 100 ? `${Math.floor(age)} s ago` : `${duration(age)} ago`;
}

/** A `<time>` that shows the age of a moment and keeps it current. */
export function age(seconds) {
  if (!Number.isFinite(seconds)) return h("span", {}, "–");
  return h("time", { datetime: new Date(seconds * 1000).toISOString(), title: fullTime(seconds), "data-age": seconds }, ago(seconds));
}

/** Called every second by the page: brings all shown ages up to date. */
export function renewAges() {
  for (const element of document.querySelectorAll("time[data-age]")) {
    const text = ago(Number(element.dataset.age));
    if (element.textContent !== plain(text)) element.textContent = plain(text);
  }
}

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** `1,234`; from 100,000 on `123.5K`. */
export function count(number) {
  return number >= 100_000 ? compact.format(number) : grouped.format(number);
}

/** `1 event`, `2 events`. */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}
