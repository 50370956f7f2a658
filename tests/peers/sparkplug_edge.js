// An edge node by Eclipse's own client: node sparkplug_edge.js PORT GROUP NODE
// Commands come as lines of JSON: {"data": [[alias, type, value], ...], "device": "K", "compress": true}, {"skip": 2}, {"ddeath": "K"}.
"use strict";
const sparkplug = require("sparkplug-client");
const readline = require("readline");
const [port, groupId, edgeNode] = process.argv.slice(2);
const say = (word) => process.stdout.write(JSON.stringify(word) + "\n");

const client = sparkplug.newClient({
  serverUrl: `tcp://127.0.0.1:${port}`, username: "", password: "", groupId, edgeNode,
  clientId: `edge-${edgeNode}`, version: "spBv1.0", publishDeath: true, keepalive: 5,
});

const now = () => Date.now();
const current = { 2: 731.5, 20: 0.5 };  // a birth tells what stands now
const nodeMetrics = () => [
  { name: "Node Control/Rebirth", type: "Boolean", value: false },
  { name: "위치", alias: 1, timestamp: now(), type: "Int32", value: -12 },
  { name: "온도", alias: 2, timestamp: now(), type: "Double", value: current[2],
    properties: { engUnit: { type: "String", value: "℃" }, Quality: { type: "Int32", value: 192 } } },
  { name: "큰수", alias: 3, timestamp: now(), type: "UInt64", value: "9007199254740993" },
  { name: "상태", alias: 4, timestamp: now(), type: "String", value: "가동" },
  { name: "켜짐", alias: 5, timestamp: now(), type: "Boolean", value: true },
  { name: "작은수", alias: 6, timestamp: now(), type: "Int8", value: -7 },
  { name: "시각", alias: 7, timestamp: now(), type: "DateTime", value: 1700000000123 },
  { name: "수", alias: 8, timestamp: now(), type: "UInt32", value: 4000000000 },
  { name: "표", alias: 9, timestamp: now(), type: "DataSet", value: {
    numOfColumns: 2, types: ["String", "Double"], columns: ["구역", "값"], rows: [["상부", 1.5], ["하부", 2.5]] } },
];
const birth = () => {
  client.publishNodeBirth({ timestamp: now(), metrics: nodeMetrics() });
  client.publishDeviceBirth("K", { timestamp: now(), metrics: [{ name: "압력", alias: 20, timestamp: now(), type: "Float", value: current[20] }] });
  say({ event: "birth" });
};
client.on("birth", birth);
client.on("ncmd", (payload) => {
  const asked = (payload.metrics || []).some((metric) => metric.name === "Node Control/Rebirth" && metric.value === true);
  say({ event: "ncmd", rebirth: asked });
  if (asked) birth();
});
client.on("error", (error) => say({ event: "error", text: String(error) }));

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const order = JSON.parse(line);
  if (order.skip) for (let i = 0; i < order.skip; i += 1) client.incrementSeqNum();
  if (order.data) {
    for (const [alias, , value] of order.data) if (alias in current) current[alias] = value;
    const payload = { timestamp: now(), metrics: order.data.map(([alias, type, value]) => ({ alias, type, value, timestamp: now(), isHistorical: order.historical === true })) };
    const options = order.compress ? { compress: true, algorithm: order.algorithm } : undefined;
    if (order.device) client.publishDeviceData(order.device, payload, options);
    else client.publishNodeData(payload, options);
  }
  if (order.ddeath) client.publishDeviceDeath(order.ddeath, { timestamp: now(), metrics: [] });
  if (order.stop) client.stop();
});
