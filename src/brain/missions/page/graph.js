/** The graph of a mission's tasks: a column for each step, a box for each task, a line to each that waits for it. */

const LEVELS = { running: "INFO", completed: "GOOD", online: "GOOD", failed: "CRITICAL", contained: "CRITICAL", cancelled: "HIGH", offline: "HIGH",
  stopping: "HIGH", compensating: "HIGH", waiting: "MEDIUM", retrying: "MEDIUM", paused: "MEDIUM" };
const [WIDTH, HEIGHT, ACROSS, DOWN, EDGE] = [150, 40, 40, 12, 8];
const MOST = 200;

/** The colour of a status, as the page names them. */
export function levelOf(status) {
  return LEVELS[status] ?? "LOW";
}

/** The drawing, as an SVG element. */
export function drawGraph(svg, tasks) {
  const shown = tasks.slice(0, MOST);
  const columns = new Map();
  const rows = [];
  const places = new Map();
  for (const { name, depends_on: before } of shown) {
    const column = Math.max(-1, ...before.map((one) => columns.get(one) ?? -1)) + 1;
    columns.set(name, column);
    rows[column] = (rows[column] ?? -1) + 1;
    places.set(name, [EDGE + column * (WIDTH + ACROSS), EDGE + rows[column] * (HEIGHT + DOWN)]);
  }
  const width = 2 * EDGE + rows.length * (WIDTH + ACROSS) - ACROSS;
  const height = 2 * EDGE + (Math.max(0, ...rows) + 1) * (HEIGHT + DOWN) - DOWN;
  const lines = shown.flatMap(({ name, depends_on: before }) => before.filter((one) => places.has(one)).map((one) => line(svg, places.get(one), places.get(name))));
  const boxes = shown.map((task) => box(svg, task, places.get(task.name)));
  const words = `${shown.length} tasks: ${shown.map(({ name, status }) => `${name} ${status}`).join(", ")}`.slice(0, 1000);
  return svg("svg", { role: "img", "aria-label": words, width, height, viewBox: `0 0 ${width} ${height}` }, lines, boxes);
}

function line(svg, [x1, y1], [x2, y2]) {
  const [from, to] = [[x1 + WIDTH, y1 + HEIGHT / 2], [x2, y2 + HEIGHT / 2]];
  const middle = (from[0] + to[0]) / 2;
  return svg("path", { class: "missions-edge", d: `M ${from} C ${middle} ${from[1]} ${middle} ${to[1]} ${to}` });
}

function box(svg, { name, type, status }, [x, y]) {
  return svg("g", { class: "missions-node", "data-level": levelOf(status) },
    svg("title", {}, `${name} (${type}): ${status}`),
    svg("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 5 }),
    svg("text", { x: x + 8, y: y + 17 }, name.length > 20 ? `${name.slice(0, 19)}…` : name),
    svg("text", { x: x + 8, y: y + 32, class: "missions-status" }, status));
}
