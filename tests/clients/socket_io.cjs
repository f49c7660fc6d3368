// Listens with socket.io-client 2: one line of JSON for each thing that happens, until the standard input ends.
// Usage: node socket_io.cjs http://127.0.0.1:8080 '{"Cookie": "sid=..."}'

const io = require("socket.io-client");

const [address, headers] = process.argv.slice(2);
const say = (...words) => console.log(JSON.stringify(words));
const socket = io(address, {
  transports: ["websocket"],
  transportOptions: { websocket: { extraHeaders: JSON.parse(headers) } },
  reconnection: false,
  timeout: 10000,
});

for (const name of ["connect", "disconnect", "connect_error", "error"]) {
  socket.on(name, (reason) => say(name, typeof reason === "string" ? reason : reason ? String(reason) : null));
}
socket.on("pong", () => say("pong"));
const receive = socket.onevent.bind(socket);
socket.onevent = (packet) => {
  say("event", ...packet.data);
  receive(packet);
};

process.stdin.on("end", () => socket.close()).resume();
