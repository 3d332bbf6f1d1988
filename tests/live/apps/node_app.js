// A Node app as its user wrote it: it knows of no mesh.
"use strict";
const http = require("node:http");
const net = require("node:net");

function database(host, answer) {
  let said = "";
  const link = net.connect(Number(process.env.DATABASE_PORT), host, () => link.end("ping"));
  link.on("data", (data) => (said += data));
  link.on("error", (error) => answer.writeHead(502).end(JSON.stringify({ said: String(error) })));
  link.on("end", () => answer.end(JSON.stringify({ said })));
}

http
  .createServer((request, answer) => {
    answer.setHeader("content-type", "application/json");
    const [, what, host] = request.url.split("/");
    if (what === "database") return database(host, answer);
    const caller = request.headers["x-forwarded-client-cert"] || "";
    return answer.end(JSON.stringify({ framework: "node", caller }));
  })
  .listen(3000, "127.0.0.1");
